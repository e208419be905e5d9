//! The archive: one folder with the program and all that belongs to it, for any Linux
//! with a C library that is new enough.

use anyhow::Result;
use xtask_support::workspace::PROGRAM as NAME;

use crate::{
    deb::UNIT,
    documents::{Documents, file_of_project},
    files::{DATA, Entry, Files, PROGRAM as EXECUTABLE},
    package::Package,
    program::Program,
    tarball::tar_gz,
};

pub fn archive(program: &Program, documents: &Documents) -> Result<Package> {
    let folder = format!("{NAME}-{}-{}-linux-gnu", program.version, program.architecture);
    let mut files = Files::default();
    files.add(NAME, EXECUTABLE, program.content.clone());
    files.link(&format!("arp-{NAME}"), NAME);
    for (name, text) in &documents.texts {
        files.add(*name, DATA, text.as_str());
    }
    for (within, those) in [("man", &documents.manual), ("completions", &documents.completions)] {
        for (path, entry) in those.iter() {
            if let Entry::File { mode, content } = entry {
                files.add(format!("{within}/{path}"), *mode, content.as_slice());
            }
        }
    }
    files.add(format!("systemd/{NAME}.service"), DATA, file_of_project(UNIT)?);
    let content = tar_gz(&files, &format!("{folder}/"), program.epoch)?;
    Ok(Package { name: format!("{folder}.tar.gz"), content })
}
