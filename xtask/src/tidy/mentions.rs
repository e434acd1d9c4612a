//! What no file may mention: folders of one machine, and hosts of package registries.

use super::{Breach, File};

/// Folders that exist on somebody's machine only. Built from pieces, so that this file passes its own rule.
const MACHINE_FOLDERS: [&str; 5] = [
    concat!("/", "home/"),
    concat!("/", "root/"),
    concat!("/", "work/"),
    concat!("/", "Users/"),
    concat!("/", "tmp/wt"),
];

/// Packages are had by name through their clients, wherever those are set up to look.
const REGISTRY_HOSTS: [&str; 7] = [
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("deb.debian", ".org"),
    concat!("download.pytorch", ".org"),
];

/// Checks every line of every file.
pub fn check(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files {
        for (i, line) in file.text.lines().enumerate() {
            let mut report = |message| breaches.push(Breach { path: file.path.clone(), line: i + 1, message });
            if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| starts_a_path(line, folder)) {
                report(format!("`{folder}` is a folder of one machine: write a path relative to the workspace"));
            }
            if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(**host)) {
                report(format!("`{host}` is a registry's host: name the package, its client knows where to look"));
            }
        }
    }
    breaches
}

/// Whether `folder` occurs in `line` as the start of an absolute path, not inside a longer one.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-~}*)>".contains(before)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn finds_machine_folders_and_hosts() {
        let folder = format!("cd {}me/gbrl", MACHINE_FOLDERS[0]);
        assert_eq!(check(&one("a.sh", &folder))[0].line, 1);
        let host = format!("pip install --index {}", REGISTRY_HOSTS[0]);
        assert_eq!(check(&one("a.sh", &format!("\n{host}")))[0].line, 2);
    }

    #[test]
    fn lets_relative_paths_pass() {
        assert!(check(&one("a.sh", concat!("cp docs/", "work/plan.md . # frame/", "work/s"))).is_empty());
    }
}
