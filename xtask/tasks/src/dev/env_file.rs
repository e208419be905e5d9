//! Makes an env file for a developer who has none.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Where there is neither `.env.local` nor `.env`, makes the first from
/// `.env.example`, which sets what development needs.
pub(super) fn make_if_missing(root: &Path) -> Result<Option<PathBuf>> {
    let path = root.join(".env.local");
    if path.exists() || root.join(".env").exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(root.join(".env.example")).context("read .env.example")?;
    // The file will contain secrets.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use xtask_support::workspace;

    use super::*;

    #[test]
    fn env_file_is_made_from_the_example_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::copy(workspace::root().join(".env.example"), root.join(".env.example")).unwrap();
        let made = make_if_missing(root).unwrap().unwrap();
        let text = fs::read_to_string(&made).unwrap();
        let set: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(
            set,
            [
                "JARVIS_POLICY_PROFILE=dev-allow",
                "ARP_AUTH_PROFILE=dev-insecure",
                "JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN=127.0.0.1:8089",
            ]
        );

        fs::write(&made, "mine").unwrap();
        assert_eq!(make_if_missing(root).unwrap(), None);
        assert_eq!(fs::read_to_string(&made).unwrap(), "mine");
        fs::rename(&made, root.join(".env")).unwrap();
        assert_eq!(make_if_missing(root).unwrap(), None);
    }
}
