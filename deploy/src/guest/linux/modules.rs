//! Orders kernel modules by their dependencies.
//!
//! A module lists its dependencies in its section `.modinfo`, in an entry `depends=a,b`. That is enough: `modules.dep`, which exists only once a package is
//! installed, is not needed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a guest's modules cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// A module does not exist.
    #[error("no kernel module {module} (needed by {by}) under {}: use the unpacked modules of the same kernel (deploy/linux/kernel.sh)", .dir.display())]
    Missing {
        /// Its name.
        module: String,
        /// What depends on it.
        by: String,
        /// The directory that was searched.
        dir: PathBuf,
    },
    /// A file is not a module.
    #[error("{} is not a kernel module: it has no readable .modinfo", .0.display())]
    NoModule(PathBuf),
    /// A directory or a file cannot be read.
    #[error("reading {}: {source}", .path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// The modules `wanted` and all of their dependencies, from below `dir`, dependencies first.
///
/// # Errors
/// See [`ModuleError`].
pub fn in_order(dir: &Path, wanted: &[String]) -> Result<Vec<(String, Vec<u8>)>, ModuleError> {
    let mut order = Order {
        dir,
        files: BTreeMap::new(),
        loaded: Vec::new(),
        under_way: Vec::new(),
    };
    order.index(dir)?;
    for module in wanted {
        order.load(module, "the guest's description")?;
    }
    Ok(order.loaded)
}

struct Order<'a> {
    dir: &'a Path,
    files: BTreeMap<String, PathBuf>,
    loaded: Vec<(String, Vec<u8>)>,
    under_way: Vec<String>,
}

impl Order<'_> {
    fn index(&mut self, dir: &Path) -> Result<(), ModuleError> {
        let failed = |source| ModuleError::Read {
            path: dir.to_owned(),
            source,
        };
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            if entry.file_type().map_err(failed)?.is_dir() {
                self.index(&path)?;
            } else if let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".ko")) {
                self.files.insert(plain(name), path.clone());
            }
        }
        Ok(())
    }

    fn load(&mut self, module: &str, by: &str) -> Result<(), ModuleError> {
        let module = plain(module);
        let known = self.loaded.iter().any(|(name, _)| *name == module) || self.under_way.contains(&module);
        if known {
            return Ok(());
        }
        let path = self.files.get(&module).ok_or_else(|| ModuleError::Missing {
            module: module.clone(),
            by: by.to_owned(),
            dir: self.dir.to_owned(),
        })?;
        let bytes = fs::read(path).map_err(|source| ModuleError::Read {
            path: path.clone(),
            source,
        })?;
        let needs = depends(&bytes).ok_or_else(|| ModuleError::NoModule(path.clone()))?;
        self.under_way.push(module.clone());
        for need in &needs {
            self.load(need, &module)?;
        }
        self.under_way.pop();
        self.loaded.push((module, bytes));
        Ok(())
    }
}

/// The kernel does not distinguish `-` and `_` in module names.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// A module's dependencies; `None`: the file does not list any.
fn depends(module: &[u8]) -> Option<Vec<String>> {
    let entry = module
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(b"depends="))?;
    let text = std::str::from_utf8(entry).ok()?;
    Some(
        text.split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(dir: &Path, name: &str, depends: &str) {
        let bytes = format!("\x7fELF\0license=GPL\0depends={depends}\0name=x\0");
        fs::write(dir.join(format!("{name}.ko")), bytes).unwrap();
    }

    fn names(modules: Vec<(String, Vec<u8>)>) -> Vec<String> {
        modules.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("kernel/net");
        fs::create_dir_all(&below).unwrap();
        module(&below, "virtio-net", "virtio,virtio_ring");
        module(&below, "virtio_pci", "virtio_ring,virtio");
        module(dir.path(), "virtio", "virtio_ring");
        module(dir.path(), "virtio_ring", "");
        let wanted = ["virtio_pci", "virtio_net"].map(str::to_owned);
        assert_eq!(
            names(in_order(dir.path(), &wanted).unwrap()),
            ["virtio_ring", "virtio", "virtio_pci", "virtio_net"]
        );
    }

    #[test]
    fn circular_dependencies_end() {
        let dir = tempfile::tempdir().unwrap();
        module(dir.path(), "a", "b");
        module(dir.path(), "b", "a");
        assert_eq!(names(in_order(dir.path(), &["a".to_owned()]).unwrap()), ["b", "a"]);
    }

    #[test]
    fn a_missing_module_is_named() {
        let dir = tempfile::tempdir().unwrap();
        module(dir.path(), "a", "gone");
        let error = in_order(dir.path(), &["a".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("module gone (needed by a)"), "{error}");
        fs::write(dir.path().join("gone.ko"), "text").unwrap();
        let error = in_order(dir.path(), &["a".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("gone.ko is not a kernel module"), "{error}");
    }
}
