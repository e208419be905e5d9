//! Tar files, compressed with gzip: the same files make the same bytes. Everything
//! belongs to root and is as old as the source.

use std::{collections::BTreeSet, io::Write};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use tar::{Builder, EntryType, Header};

use crate::files::{Entry, Files};

/// `prefix` is put before each path; folders have entries of their own.
pub(crate) fn tar_gz(files: &Files, prefix: &str, epoch: u64) -> Result<Vec<u8>> {
    let mut tar = Builder::new(encoder());
    let mut folders = BTreeSet::new();
    for (path, entry) in files.iter() {
        let path = format!("{prefix}{path}");
        for (at, _) in path.match_indices('/') {
            let folder = &path[..=at];
            if folders.insert(folder.to_owned()) {
                append(&mut tar, folder, EntryType::Directory, 0o755, &[], epoch)?;
            }
        }
        match entry {
            Entry::File { mode, content } => {
                append(&mut tar, &path, EntryType::Regular, *mode, content, epoch)?;
            }
            Entry::Link(to) => {
                let mut header = header(EntryType::Symlink, 0o777, 0, epoch);
                tar.append_link(&mut header, &path, to).with_context(|| format!("pack {path}"))?;
            }
        }
    }
    let gzip = tar.into_inner().context("end a tar file")?;
    gzip.finish().context("compress a tar file")
}

/// One file, compressed, without a name or a time in it.
pub(crate) fn gz(content: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = encoder();
    gzip.write_all(content).context("compress")?;
    gzip.finish().context("compress")
}

fn encoder() -> GzEncoder<Vec<u8>> {
    GzBuilder::new().mtime(0).write(Vec::new(), Compression::default())
}

fn append(
    tar: &mut Builder<GzEncoder<Vec<u8>>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    content: &[u8],
    epoch: u64,
) -> Result<()> {
    let mut header = header(kind, mode, content.len() as u64, epoch);
    tar.append_data(&mut header, path, content).with_context(|| format!("pack {path}"))
}

fn header(kind: EntryType, mode: u32, size: u64, epoch: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(epoch);
    header.set_uid(0);
    header.set_gid(0);
    header
}
