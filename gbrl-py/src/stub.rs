//! Types that the stub generator does not know, or not well enough for strict type checkers.

use std::convert::Infallible;
use std::path::PathBuf;

use numpy::ndarray::Dimension;
use numpy::{Ix1, PyArray, PyReadonlyArray};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict};
use pyo3_stub_gen::{PyStubType, TypeInfo};

/// A bool array that is read. The stub generator knows numpy's numbers, but not its bool.
pub struct Flags<'py, D: Dimension>(pub PyReadonlyArray<'py, bool, D>);

impl<'py, D: Dimension + 'static> FromPyObject<'_, 'py> for Flags<'py, D> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Flags(object.extract::<PyReadonlyArray<'py, bool, D>>()?))
    }
}

impl<D: Dimension> PyStubType for Flags<'_, D> {
    fn type_output() -> TypeInfo {
        bools()
    }
}

/// A bool array that is returned.
pub struct NewFlags<'py, D>(pub Bound<'py, PyArray<bool, D>>);

impl<'py, D> IntoPyObject<'py> for NewFlags<'py, D> {
    type Target = PyArray<bool, D>;
    type Output = Bound<'py, Self::Target>;
    type Error = Infallible;

    fn into_pyobject(self, _: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(self.0)
    }
}

impl<D> PyStubType for NewFlags<'_, D> {
    fn type_output() -> TypeInfo {
        bools()
    }
}

fn bools() -> TypeInfo {
    TypeInfo { name: "numpy.typing.NDArray[numpy.bool_]".into(), ..PyArray::<f32, Ix1>::type_output() }
}

/// Arrays by name.
pub struct NamedArrays<'py>(pub Bound<'py, PyDict>);

impl<'py> IntoPyObject<'py> for NamedArrays<'py> {
    type Target = PyDict;
    type Output = Bound<'py, PyDict>;
    type Error = Infallible;

    fn into_pyobject(self, _: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(self.0)
    }
}

impl PyStubType for NamedArrays<'_> {
    fn type_output() -> TypeInfo {
        let arrays = "builtins.dict[builtins.str, numpy.typing.NDArray[typing.Any]]";
        TypeInfo { name: arrays.into(), ..PyArray::<f32, Ix1>::type_output() | TypeInfo::any() }
    }
}

/// A path as Python has it: a string, or anything that is one.
pub struct FilePath(pub PathBuf);

impl FromPyObject<'_, '_> for FilePath {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        Ok(FilePath(object.extract()?))
    }
}

impl PyStubType for FilePath {
    fn type_output() -> TypeInfo {
        TypeInfo { name: "builtins.str | os.PathLike[builtins.str]".into(), ..PathBuf::type_input() }
    }
}
