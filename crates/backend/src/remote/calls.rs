//! The operations, one call each.

use vecdb_engine::{
    Advice, AdviceParams, ArchiveReport, CollectionConfig, CollectionInfo, CollectionSummary,
    Durability, Error, ErrorKind, FacetRequest, Facets, Filter, LIMIT_MAX, MetadataUpdate,
    Overview, Point, PointId, RecommendRequest, Record, RestoreRequest, Restored, Result,
    ScrollPage, ScrollRequest, SearchRequest, SearchResponse, SnapshotInfo, StopSignal,
    VerifyReport, WriteResult,
};
use vecdb_protocol::{convert, v1};
use vecdb_sql::{Params, QueryResult};

use super::{Remote, part, understood};
use crate::backend::{Backend, Selection, Status};

impl Backend for Remote {
    fn create_collection(&self, name: &str, config: CollectionConfig) -> Result<CollectionInfo> {
        let request = v1::CreateCollectionRequest {
            name: name.to_owned(),
            config: Some((&config).try_into()?),
        };
        let response = self.call(&StopSignal::default(), |client| async move {
            client.create_collection(request).await
        })?;
        understood(part(response.collection)?.try_into())
    }

    fn collections(&self) -> Result<Vec<CollectionSummary>> {
        let response = self.call(&StopSignal::default(), |client| async move {
            client.list_collections(v1::ListCollectionsRequest {}).await
        })?;
        Ok(response.collections.into_iter().map(Into::into).collect())
    }

    fn collection(&self, name: &str) -> Result<CollectionInfo> {
        let request = v1::GetCollectionRequest {
            name: name.to_owned(),
        };
        let response = self.call(&StopSignal::default(), |client| async move {
            client.get_collection(request).await
        })?;
        understood(part(response.collection)?.try_into())
    }

    fn drop_collection(&self, name: &str) -> Result<()> {
        let request = v1::DropCollectionRequest {
            name: name.to_owned(),
        };
        self.call(&StopSignal::default(), |client| async move {
            client.drop_collection(request).await
        })?;
        Ok(())
    }

    fn upsert(
        &self,
        collection: &str,
        points: Vec<Point>,
        durability: Option<Durability>,
        stop: &StopSignal,
    ) -> Result<WriteResult> {
        let request = v1::UpsertRequest {
            collection: collection.to_owned(),
            points: points.into_iter().map(Into::into).collect(),
            durability: durability.map(Into::into),
        };
        let response = self.call(stop, |client| async move { client.upsert(request).await })?;
        understood(part(response.result)?.try_into())
    }

    fn update_metadata(
        &self,
        collection: &str,
        ids: &[PointId],
        update: &MetadataUpdate,
        stop: &StopSignal,
    ) -> Result<WriteResult> {
        let (metadata, replace) = match update {
            MetadataUpdate::Merge(metadata) => (metadata, false),
            MetadataUpdate::Replace(metadata) => (metadata, true),
        };
        let request = v1::UpdateMetadataRequest {
            collection: collection.to_owned(),
            ids: messages(ids),
            metadata: convert::metadata_message(metadata.clone()),
            replace,
        };
        let response = self.call(stop, |client| async move {
            client.update_metadata(request).await
        })?;
        understood(part(response.result)?.try_into())
    }

    fn delete(
        &self,
        collection: &str,
        selection: &Selection,
        stop: &StopSignal,
    ) -> Result<WriteResult> {
        let mut request = v1::DeleteRequest {
            collection: collection.to_owned(),
            ..Default::default()
        };
        match selection {
            // A message without ids says nothing, but deleting no points is a write that does nothing.
            Selection::Ids(ids) if ids.is_empty() => {
                let info = self.collection(collection)?;
                return Ok(WriteResult {
                    position: info.position,
                    inserted: 0,
                    updated: 0,
                    deleted: 0,
                    durability: info.config.durability,
                });
            }
            Selection::Ids(ids) => request.ids = messages(ids),
            Selection::Filter(filter) => request.filter = Some(filter.into()),
        }
        let response = self.call(stop, |client| async move { client.delete(request).await })?;
        understood(part(response.result)?.try_into())
    }

    fn get(
        &self,
        collection: &str,
        ids: &[PointId],
        with_vector: bool,
        with_metadata: bool,
        stop: &StopSignal,
    ) -> Result<Vec<Option<Record>>> {
        let request = v1::GetRequest {
            collection: collection.to_owned(),
            ids: messages(ids),
            with_vector,
            with_metadata: Some(with_metadata),
        };
        let response = self.call(stop, |client| async move { client.get(request).await })?;
        let mut records = understood(convert::records(ids, response))?;
        if with_metadata {
            for record in records.iter_mut().flatten() {
                record.metadata.get_or_insert_default();
            }
        }
        Ok(records)
    }

    fn scroll(
        &self,
        collection: &str,
        request: &ScrollRequest,
        stop: &StopSignal,
    ) -> Result<ScrollPage> {
        check_limit(request.limit)?;
        let message = v1::ScrollRequest {
            collection: collection.to_owned(),
            ..request.clone().into()
        };
        let response = self.call(stop, |client| async move { client.scroll(message).await })?;
        let mut page = understood(ScrollPage::try_from(response))?;
        if request.with_metadata {
            for record in &mut page.points {
                record.metadata.get_or_insert_default();
            }
        }
        Ok(page)
    }

    fn count(&self, collection: &str, filter: Option<&Filter>, stop: &StopSignal) -> Result<u64> {
        let request = v1::CountRequest {
            collection: collection.to_owned(),
            filter: filter.map(Into::into),
        };
        let response = self.call(stop, |client| async move { client.count(request).await })?;
        Ok(response.count)
    }

    fn facets(
        &self,
        collection: &str,
        request: &FacetRequest,
        stop: &StopSignal,
    ) -> Result<Facets> {
        check_limit(request.limit)?;
        let message = v1::FacetsRequest {
            collection: collection.to_owned(),
            ..request.into()
        };
        let response = self.call(stop, |client| async move { client.facets(message).await })?;
        understood(response.try_into())
    }

    fn search(
        &self,
        collection: &str,
        request: &SearchRequest,
        stop: &StopSignal,
    ) -> Result<SearchResponse> {
        let message = v1::SearchRequest {
            collection: collection.to_owned(),
            ..search_message(request)?
        };
        let response = self.call(stop, |client| async move { client.search(message).await })?;
        search_response(request, response)
    }

    fn search_batch(
        &self,
        collection: &str,
        requests: &[SearchRequest],
        stop: &StopSignal,
    ) -> Result<Vec<SearchResponse>> {
        let searches = requests.iter().enumerate().map(|(at, request)| {
            search_message(request).map_err(|error| error.context(format_args!("query {at}")))
        });
        let message = v1::SearchBatchRequest {
            collection: collection.to_owned(),
            searches: searches.collect::<Result<_>>()?,
        };
        let response = self.call(
            stop,
            |client| async move { client.search_batch(message).await },
        )?;
        if response.responses.len() != requests.len() {
            return part(None);
        }
        let answers = requests.iter().zip(response.responses);
        answers
            .map(|(request, response)| search_response(request, response))
            .collect()
    }

    fn recommend(
        &self,
        collection: &str,
        request: &RecommendRequest,
        stop: &StopSignal,
    ) -> Result<SearchResponse> {
        check_limit(request.search.limit)?;
        let message = v1::RecommendRequest {
            collection: collection.to_owned(),
            ..request.clone().into()
        };
        let response = self.call(
            stop,
            |client| async move { client.recommend(message).await },
        )?;
        search_response(&request.search, response)
    }

    fn query(&self, sql: &str, params: &Params, stop: &StopSignal) -> Result<QueryResult> {
        let request = v1::QueryRequest::new(sql, params.clone());
        let response = self.call(stop, |client| async move { client.query(request).await })?;
        understood(response.try_into())
    }

    fn create_field_index(&self, collection: &str, field: &str, stop: &StopSignal) -> Result<bool> {
        let request = v1::CreateFieldIndexRequest {
            collection: collection.to_owned(),
            field: field.to_owned(),
        };
        let response = self.call(stop, |client| async move {
            client.create_field_index(request).await
        })?;
        Ok(response.changed)
    }

    fn drop_field_index(&self, collection: &str, field: &str) -> Result<bool> {
        let request = v1::DropFieldIndexRequest {
            collection: collection.to_owned(),
            field: field.to_owned(),
        };
        let response = self.call(&StopSignal::default(), |client| async move {
            client.drop_field_index(request).await
        })?;
        Ok(response.changed)
    }

    fn flush(&self, collection: &str) -> Result<()> {
        let request = v1::FlushCollectionRequest {
            name: collection.to_owned(),
        };
        self.call(&StopSignal::default(), |client| async move {
            client.flush_collection(request).await
        })?;
        Ok(())
    }

    fn compact(&self, collection: &str, stop: &StopSignal) -> Result<()> {
        self.compact_collection(collection, false, stop)
    }

    fn wait_until_idle(&self, collection: &str, stop: &StopSignal) -> Result<()> {
        self.compact_collection(collection, true, stop)
    }

    fn pause_merges(&self) -> Result<()> {
        self.call(&StopSignal::default(), |client| async move {
            client.pause_merges(v1::PauseMergesRequest {}).await
        })?;
        Ok(())
    }

    fn resume_merges(&self) -> Result<()> {
        self.call(&StopSignal::default(), |client| async move {
            client.resume_merges(v1::ResumeMergesRequest {}).await
        })?;
        Ok(())
    }

    fn verify(&self, collection: Option<&str>, stop: &StopSignal) -> Result<VerifyReport> {
        let request = v1::VerifyRequest {
            collection: collection.unwrap_or_default().to_owned(),
            repair: false,
        };
        let response = self.call(stop, |client| async move { client.verify(request).await })?;
        Ok(response.into())
    }

    fn repair(&self, collection: Option<&str>, stop: &StopSignal) -> Result<VerifyReport> {
        let request = v1::VerifyRequest {
            collection: collection.unwrap_or_default().to_owned(),
            repair: true,
        };
        let response = self.call(stop, |client| async move { client.verify(request).await })?;
        Ok(response.into())
    }

    fn verify_archive(&self, location: Option<&str>, stop: &StopSignal) -> Result<ArchiveReport> {
        if location.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a server checks its own archive: name no other",
            ));
        }
        let request = v1::VerifyArchiveRequest {};
        let response = self.call(stop, |client| async move {
            client.verify_archive(request).await
        })?;
        Ok(response.into())
    }

    fn advise(&self, collection: &str, params: &AdviceParams, stop: &StopSignal) -> Result<Advice> {
        // In a message 0 stands for the default.
        params.validate()?;
        let request = v1::AdviseRequest {
            collection: collection.to_owned(),
            ..params.into()
        };
        let response = self.call(stop, |client| async move { client.advise(request).await })?;
        understood(response.try_into())
    }

    fn create_snapshot(
        &self,
        name: Option<&str>,
        collections: &[String],
        stop: &StopSignal,
    ) -> Result<SnapshotInfo> {
        let request = v1::CreateSnapshotRequest {
            name: name.unwrap_or_default().to_owned(),
            collections: collections.to_vec(),
        };
        let response = self.call(stop, |client| async move {
            client.create_snapshot(request).await
        })?;
        Ok(part(response.snapshot)?.into())
    }

    fn list_snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        let response = self.call(&StopSignal::default(), |client| async move {
            client.list_snapshots(v1::ListSnapshotsRequest {}).await
        })?;
        Ok(response.snapshots.into_iter().map(Into::into).collect())
    }

    fn restore_snapshot(
        &self,
        name: &str,
        request: &RestoreRequest,
        stop: &StopSignal,
    ) -> Result<Restored> {
        if request.archive.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a server restores from its own archive: name no other",
            ));
        }
        let request = convert::restore_request(name, request);
        let response = self.call(stop, |client| async move {
            client.restore_snapshot(request).await
        })?;
        Ok(response.into())
    }

    fn delete_snapshot(&self, name: &str) -> Result<()> {
        let request = v1::DeleteSnapshotRequest {
            name: name.to_owned(),
        };
        self.call(&StopSignal::default(), |client| async move {
            client.delete_snapshot(request).await
        })?;
        Ok(())
    }

    /// A server opens what it is asked for: everything is open.
    fn overview(&self) -> Result<Overview> {
        let mut overview = Overview::default();
        for summary in self.collections()? {
            match summary.broken {
                None => overview.open.push(self.collection(&summary.name)?),
                Some(_) => overview.broken += 1,
            }
        }
        Ok(overview)
    }

    fn status(&self) -> Result<Status> {
        let response = self.call(&StopSignal::default(), |client| async move {
            client.get_status(v1::GetStatusRequest {}).await
        })?;
        Ok(response.into())
    }
}

impl Remote {
    fn compact_collection(
        &self,
        collection: &str,
        pending_only: bool,
        stop: &StopSignal,
    ) -> Result<()> {
        let request = v1::CompactCollectionRequest {
            name: collection.to_owned(),
            pending_only,
        };
        self.call(stop, |client| async move {
            client.compact_collection(request).await
        })?;
        Ok(())
    }
}

fn messages(ids: &[PointId]) -> Vec<v1::PointId> {
    ids.iter().cloned().map(Into::into).collect()
}

fn search_message(request: &SearchRequest) -> Result<v1::SearchRequest> {
    check_limit(request.limit)?;
    Ok(request.clone().into())
}

fn search_response(
    request: &SearchRequest,
    response: v1::SearchResponse,
) -> Result<SearchResponse> {
    let mut response = understood(SearchResponse::try_from(response))?;
    if request.with_metadata {
        let groups = response.groups.iter_mut();
        let in_groups = groups.flat_map(|group| &mut group.hits);
        for hit in response.hits.iter_mut().chain(in_groups) {
            hit.metadata.get_or_insert_default();
        }
    }
    Ok(response)
}

/// In a message 0 stands for the default; here it is the mistake that it is in the engine.
fn check_limit(limit: usize) -> Result<()> {
    if limit == 0 {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("limit 0 is not between 1 and {LIMIT_MAX}"),
        ));
    }
    Ok(())
}
