//! Every error of the core as the Python exception that fits it.

use gbrl_core::{Error, ErrorClass};
use pyo3::PyErr;
use pyo3::exceptions::{PyFileNotFoundError, PyNotImplementedError, PyOSError, PyRuntimeError, PyValueError};
use pyo3_stub_gen::create_exception;

create_exception!(gbrl_rs._gbrl, FormatError, PyValueError, "Bytes that are not a valid file of this library.");
create_exception!(
    gbrl_rs._gbrl,
    EnvironmentContractError,
    PyRuntimeError,
    "An environment did what no environment may do."
);
create_exception!(gbrl_rs._gbrl, DeviceError, PyRuntimeError, "A compute device that failed or is absent.");

/// The exception for an error of the core, with its message.
pub fn to_py(error: Error) -> PyErr {
    let message = error.to_string();
    match error.class() {
        ErrorClass::Value | ErrorClass::Name => PyValueError::new_err(message),
        ErrorClass::NotFound => PyFileNotFoundError::new_err(message),
        ErrorClass::Io => PyOSError::new_err(message),
        ErrorClass::Format => FormatError::new_err(message),
        ErrorClass::Unsupported => PyNotImplementedError::new_err(message),
        ErrorClass::Environment => EnvironmentContractError::new_err(message),
        ErrorClass::Device => DeviceError::new_err(message),
    }
}
