//! The stub that type checkers read is what the extension module offers.

#[test]
fn the_stub_is_up_to_date() {
    let info = gbrl_py::stub_info().unwrap();
    let stub = info.modules.values().map(ToString::to_string).collect::<String>();
    let stub = stub.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/python/gbrl_rs/_gbrl.pyi");
    if std::env::var_os("GBRL_REWRITE").is_some() {
        std::fs::write(path, &stub).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(written == stub, "run GBRL_REWRITE=1 cargo test -p gbrl-py stub");
}
