//! A finished package: a file with a name.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The file with the checksums of all others in its folder, as `sha256sum --check` reads it.
const CHECKSUMS: &str = "SHA256SUMS";

#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub content: Vec<u8>,
}

impl Package {
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(&self.name);
        fs::write(&path, &self.content).with_context(|| format!("write {}", path.display()))
    }
}

/// Writes the checksums of the files in a folder, of those of earlier calls as well.
pub(crate) fn write_checksums(folder: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && name != CHECKSUMS {
            let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            lines.push(format!("{}  {name}\n", hex(&Sha256::digest(content))));
        }
    }
    lines.sort_by(|a, b| a[64..].cmp(&b[64..]));
    Package { name: CHECKSUMS.to_owned(), content: lines.concat().into_bytes() }.write(folder)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_of_all_files_but_themselves() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in [("b.txt", "abc"), ("a.txt", "")] {
            Package { name: name.to_owned(), content: content.into() }.write(folder.path()).expect("written");
        }
        let sums = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a.txt\n\
            ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b.txt\n";
        for _ in 0..2 {
            write_checksums(folder.path()).expect("written");
            assert_eq!(fs::read_to_string(folder.path().join(CHECKSUMS)).expect("read"), sums);
        }
    }
}
