"""VecDB as a vector store of LangChain."""

from .vectorstore import VecDBVectorStore

__all__ = ["VecDBVectorStore"]
