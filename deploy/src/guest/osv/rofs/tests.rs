//! A reader of rofs that follows OSv's mount code: it takes counts and offsets from the image alone and checks every step.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::guest::tree::File;

struct Reader<'a> {
    image: &'a [u8],
    entries: Vec<(u64, String)>,
    links: Vec<String>,
    inodes: Vec<[u64; 4]>,
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn short_text(bytes: &[u8], at: &mut usize) -> String {
    let length = usize::from(u16::from_le_bytes(bytes[*at..*at + 2].try_into().unwrap()));
    let text = String::from_utf8(bytes[*at + 2..*at + 2 + length].to_vec()).unwrap();
    *at += 2 + length;
    text
}

impl<'a> Reader<'a> {
    fn mount(image: &'a [u8]) -> Self {
        assert_eq!(image.len() % 512, 0);
        let field = |i: usize| number(image, i * 8);
        assert_eq!((field(0), field(1), field(2)), (0xDEAD_BEAD, 1, 512));
        let start = usize::try_from(field(3)).unwrap() * 512;
        let table = &image[start..start + usize::try_from(field(4)).unwrap() * 512];
        assert_eq!(start + table.len(), image.len());
        let mut at = 0;
        let entries = (0..field(5))
            .map(|_| {
                let inode = number(table, at);
                at += 8;
                (inode, short_text(table, &mut at))
            })
            .collect();
        let links = (0..field(6)).map(|_| short_text(table, &mut at)).collect();
        let inodes = (0..field(7))
            .map(|_| {
                let inode = [0, 8, 16, 24].map(|part| number(table, at + part));
                at += 32;
                inode
            })
            .collect();
        assert!(table[at..].iter().all(|&byte| byte == 0));
        Self {
            image,
            entries,
            links,
            inodes,
        }
    }

    fn dir(&self, inode: u64) -> BTreeMap<String, Node> {
        let index = usize::try_from(inode).unwrap() - 1;
        let [mode, own_number, data, count] = self.inodes[index];
        assert_eq!((mode, own_number), (0x4000, inode));
        let data = usize::try_from(data).unwrap();
        self.entries[data..data + usize::try_from(count).unwrap()]
            .iter()
            .map(|(inode, name)| (name.clone(), self.node(*inode)))
            .collect()
    }

    fn node(&self, inode: u64) -> Node {
        let [mode, _, data, count] = self.inodes[usize::try_from(inode).unwrap() - 1];
        let (data, count) = (usize::try_from(data).unwrap(), usize::try_from(count).unwrap());
        match mode {
            0x4000 => Node::Dir(self.dir(inode)),
            0x8000 => Node::File(File {
                bytes: self.image[data * 512..data * 512 + count].to_vec(),
                executable: true,
            }),
            0xA000 => {
                assert_eq!(count, 1);
                Node::Link(self.links[data].clone())
            }
            other => panic!("inode {inode} has mode {other:#x}"),
        }
    }
}

#[test]
fn an_image_is_read_as_osv_reads_it() {
    let mut tree = Tree::default();
    tree.file("/workload", vec![7; 1025], true).unwrap();
    tree.file("/empty", Vec::new(), true).unwrap();
    tree.file("/etc/fstab", b"none /dev devfs defaults 0 0\n".to_vec(), true)
        .unwrap();
    tree.link("/etc/mnttab", "/proc/mounts").unwrap();
    tree.file("/usr/lib/libgcc_s.so.1", vec![9; 512], true).unwrap();
    for dir in ["/dev", "/proc", "/tmp"] {
        tree.dir(dir).unwrap();
    }
    let image = write(&tree).unwrap();
    assert_eq!(&Reader::mount(&image).dir(1), tree.root());
}

#[test]
fn an_empty_tree_has_a_root() {
    let image = write(&Tree::default()).unwrap();
    assert_eq!(image.len(), 1024);
    assert_eq!(Reader::mount(&image).dir(1), BTreeMap::new());
}

#[test]
fn a_device_is_refused() {
    let mut tree = Tree::default();
    let console = crate::guest::tree::Device { major: 5, minor: 1 };
    tree.device("/dev/console", console).unwrap();
    assert_eq!(write(&tree), Err(RofsError::Device("console".into())));
}

fn node() -> impl Strategy<Value = Node> {
    let file = proptest::collection::vec(any::<u8>(), 0..2000).prop_map(|bytes| {
        Node::File(File {
            bytes,
            executable: true,
        })
    });
    let leaf = prop_oneof![file, "[a-z/.]{1,40}".prop_map(Node::Link)];
    leaf.prop_recursive(4, 40, 8, |inner| {
        proptest::collection::btree_map("[a-zA-Z0-9._é-]{1,20}", inner, 0..8).prop_map(Node::Dir)
    })
}

fn grow(tree: &mut Tree, parent: &str, entries: &BTreeMap<String, Node>) {
    for (name, node) in entries {
        let path = format!("{parent}/{name}");
        match node {
            Node::Dir(below) => {
                tree.dir(&path).unwrap();
                grow(tree, &path, below);
            }
            Node::File(file) => tree.file(&path, file.bytes.clone(), true).unwrap(),
            Node::Link(target) => tree.link(&path, target).unwrap(),
            Node::Device(device) => tree.device(&path, *device).unwrap(),
        }
    }
}

proptest! {
    #[test]
    fn any_tree_survives(entries in proptest::collection::btree_map("[a-z]{1,12}", node(), 0..6)) {
        let has_dots = |name: &str| name == "." || name == "..";
        fn names<'a>(entries: &'a BTreeMap<String, Node>, into: &mut Vec<&'a str>) {
            for (name, node) in entries {
                into.push(name);
                if let Node::Dir(below) = node { names(below, into); }
            }
        }
        let mut all = Vec::new();
        names(&entries, &mut all);
        prop_assume!(!all.into_iter().any(has_dots));
        let mut tree = Tree::default();
        grow(&mut tree, "", &entries);
        let image = write(&tree).unwrap();
        prop_assert_eq!(&Reader::mount(&image).dir(1), &entries);
    }
}
