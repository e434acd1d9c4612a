//! The extension module `gbrl_rs._gbrl`: converts and documents, decides nothing.
//!
//! Arrays must be C-contiguous and of the stated type; they are read where they are. Long work runs without the GIL
//! and ends soon after Ctrl-C (`doorway.rs`); errors become Python's own exceptions (`error.rs`).

mod agent;
mod arrays;
mod booster;
mod doorway;
mod error;
mod export;
mod lock;
mod look;
mod moment;
mod policy_file;
mod settings;
mod shared;
mod stub;
mod vec_env;
mod visited;

use pyo3::prelude::*;

#[pymodule(name = "_gbrl")]
mod module {
    #[pymodule_export]
    use crate::agent::Agent;
    #[pymodule_export]
    use crate::booster::Booster;
    #[pymodule_export]
    use crate::error::{DeviceError, EnvironmentContractError, FormatError};
    #[pymodule_export]
    use crate::export::export_policy;
    #[pymodule_export]
    use crate::lock::FolderLock;
    #[pymodule_export]
    use crate::moment::Moment;
    #[pymodule_export]
    use crate::settings::{environments, parameters, preset, schedule_at, write_file};
    #[pymodule_export]
    use crate::vec_env::VecEnv;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

pyo3_stub_gen::module_variable!("gbrl_rs._gbrl", "__version__", &str);
pyo3_stub_gen::define_stub_info_gatherer!(stub_info);
