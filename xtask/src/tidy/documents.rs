//! Documents that must exist and keep up with the tree.

use super::{Breach, File};
use crate::workspace;

/// Checks the change log and the architecture page.
pub fn check(files: &[File]) -> Vec<Breach> {
    let members = workspace::members().unwrap_or_default();
    changelog(files).into_iter().chain(architecture(files, &members)).collect()
}

fn changelog(files: &[File]) -> Option<Breach> {
    let breach = |message: &str| Some(Breach { path: "CHANGELOG.md".into(), line: 0, message: message.into() });
    match files.iter().find(|file| file.path == "CHANGELOG.md") {
        None => breach("missing: create it in the form of Keep a Changelog"),
        Some(file) if !file.text.lines().any(|line| line.starts_with("## [Unreleased]")) => {
            breach("no section `## [Unreleased]`: add it at the top, changes since the last release go there")
        }
        Some(_) => None,
    }
}

fn architecture(files: &[File], members: &[String]) -> Vec<Breach> {
    let Some(file) = files.iter().find(|file| file.path == "ARCHITECTURE.md") else { return Vec::new() };
    members
        .iter()
        .filter(|member| !file.text.contains(member.as_str()))
        .map(|member| Breach {
            path: file.path.clone(),
            line: 0,
            message: format!(
                "the crate folder `{member}` is not mentioned: say what it is for and what it must not know"
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::one;
    use super::*;

    #[test]
    fn the_changelog_needs_its_section() {
        assert!(changelog(&[]).is_some());
        assert!(changelog(&one("CHANGELOG.md", "# Changelog\n")).is_some());
        assert!(changelog(&one("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n")).is_none());
    }

    #[test]
    fn every_crate_is_in_the_architecture() {
        let members = ["gbrl-core".to_owned(), "envs".to_owned()];
        assert_eq!(architecture(&one("ARCHITECTURE.md", "gbrl-core/ learns"), &members).len(), 1);
        assert!(architecture(&[], &members).is_empty());
    }
}
