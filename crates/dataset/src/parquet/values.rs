//! A cell of a Parquet column as JSON.
//!
//! Dates and times become RFC 3339 text in UTC (those without a zone are taken as UTC). A float that is not
//! a number becomes null, as writers of data frames use it for "nothing"; an infinite one is an error.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::{DataType, TimeUnit};
use jiff::Timestamp;
use serde_json::{Number, Value};

const SECONDS_PER_DAY: i64 = 86_400;

/// Types that [`json`] converts.
pub(super) fn is_supported(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) => {
            !matches!(item.data_type(), DataType::List(_)) && is_supported(item.data_type())
        }
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Timestamp(..)
        | DataType::Date32 => true,
        _ => false,
    }
}

/// The value of a row; what is wrong with it otherwise.
pub(super) fn json(array: &dyn Array, row: usize) -> Result<Value, String> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => native::<Int8Type>(array, row).into(),
        DataType::Int16 => native::<Int16Type>(array, row).into(),
        DataType::Int32 => native::<Int32Type>(array, row).into(),
        DataType::Int64 => native::<Int64Type>(array, row).into(),
        DataType::UInt8 => native::<UInt8Type>(array, row).into(),
        DataType::UInt16 => native::<UInt16Type>(array, row).into(),
        DataType::UInt32 => native::<UInt32Type>(array, row).into(),
        DataType::UInt64 => native::<UInt64Type>(array, row).into(),
        DataType::Float16 => float(native::<Float16Type>(array, row).to_f64())?,
        DataType::Float32 => float(f64::from(native::<Float32Type>(array, row)))?,
        DataType::Float64 => float(native::<Float64Type>(array, row))?,
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Timestamp(unit, _) => timestamp(array, *unit, row)?,
        DataType::Date32 => {
            let seconds = i64::from(native::<Date32Type>(array, row)) * SECONDS_PER_DAY;
            rfc3339(Timestamp::from_second(seconds))?
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Result<Vec<Value>, String> = (0..items.len())
                .map(|item| json(items.as_ref(), item))
                .collect();
            Value::Array(items?)
        }
        other => return Err(format!("type {other} is not metadata")),
    })
}

fn native<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

fn float(value: f64) -> Result<Value, String> {
    if value.is_nan() {
        return Ok(Value::Null);
    }
    let number =
        Number::from_f64(value).ok_or_else(|| format!("{value} is not a finite number"))?;
    Ok(Value::Number(number))
}

fn timestamp(array: &dyn Array, unit: TimeUnit, row: usize) -> Result<Value, String> {
    rfc3339(match unit {
        TimeUnit::Second => Timestamp::from_second(native::<TimestampSecondType>(array, row)),
        TimeUnit::Millisecond => {
            Timestamp::from_millisecond(native::<TimestampMillisecondType>(array, row))
        }
        TimeUnit::Microsecond => {
            Timestamp::from_microsecond(native::<TimestampMicrosecondType>(array, row))
        }
        TimeUnit::Nanosecond => {
            Timestamp::from_nanosecond(i128::from(native::<TimestampNanosecondType>(array, row)))
        }
    })
}

fn rfc3339(time: Result<Timestamp, jiff::Error>) -> Result<Value, String> {
    match time {
        Ok(time) => Ok(Value::String(time.to_string())),
        Err(error) => Err(format!("a time out of range: {error}")),
    }
}
