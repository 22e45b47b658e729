//! Values in the JSON that engines print.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

/// Reads the value at a JSON pointer such as `/Config/Image`. A missing value reads like `null`.
///
/// # Errors
/// When the value has another type.
pub fn at<'a, T: Deserialize<'a>>(object: &'a Value, pointer: &'static str) -> Result<T> {
    T::deserialize(object.pointer(pointer).unwrap_or(&Value::Null)).context(pointer)
}

/// Reads the value at a JSON pointer, or the type's default if the value is missing or `null`.
///
/// # Errors
/// When the value has another type.
pub fn or_default<'a, T: Deserialize<'a> + Default>(object: &'a Value, pointer: &'static str) -> Result<T> {
    Ok(at::<Option<T>>(object, pointer)?.unwrap_or_default())
}
