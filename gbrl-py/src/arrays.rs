//! numpy's memory as slices, and slices as numpy arrays.

use numpy::ndarray::Dimension;
use numpy::{Element, Ix2, PyArray, PyArrayMethods, PyReadonlyArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The numbers of a C-contiguous array, where they are.
///
/// # Errors
/// `TypeError` for another layout.
pub fn slice<'a, T: Element, D: Dimension>(what: &str, array: &'a PyReadonlyArray<'_, T, D>) -> PyResult<&'a [T]> {
    let other = || PyTypeError::new_err(format!("{what}: expected a C-contiguous array, got another layout"));
    if !array.is_c_contiguous() {
        return Err(other());
    }
    array.as_slice().map_err(|_| other())
}

/// The numbers of a C-contiguous matrix of `width` columns.
///
/// # Errors
/// `TypeError` for another layout, `ValueError` for another width.
pub fn rows<'a, T: Element>(what: &str, array: &'a PyReadonlyArray<'_, T, Ix2>, width: usize) -> PyResult<&'a [T]> {
    if array.shape()[1] != width {
        let shape = array.shape();
        return Err(PyValueError::new_err(format!("{what}: expected shape [n, {width}], got {shape:?}")));
    }
    slice(what, array)
}

/// `values` as an array `[n, width]`.
pub fn matrix<T: Element>(py: Python<'_>, values: Vec<T>, width: usize) -> PyResult<Bound<'_, PyArray<T, Ix2>>> {
    let n = values.len().checked_div(width).unwrap_or(0);
    PyArray::from_vec(py, values).reshape([n, width])
}
