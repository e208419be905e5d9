//! Reads the files of certificates and keys, up to a bound.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::TlsError;

/// Larger than the bundle of all public roots.
const LIMIT_BYTES: u64 = 4 << 20;

/// The content of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    bounded(path).map_err(|error| TlsError::Read { path: path.to_owned(), error })
}

fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would make the reader wait.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(LIMIT_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LIMIT_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {LIMIT_BYTES} bytes")));
    }
    Ok(content)
}

/// Stands for the content of files: if one changes, so does this. Times are not
/// considered: a link that is pointed at another folder changes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Self {
        let mut hash = Sha256::new();
        for path in paths {
            match bounded(path) {
                Ok(content) => {
                    hash.update((content.len() as u64).to_le_bytes());
                    hash.update(&content);
                }
                Err(error) => hash.update(format!("unreadable: {:?}", error.kind())),
            }
        }
        Self(hash.finalize().into())
    }
}
