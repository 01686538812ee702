//! From one line a key, the struct of raw fields and the function that reads it.

/// A struct of raw fields, one a key, and the function that reads them. What is written once here is the key, the field and its type.
macro_rules! raw_table {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $key:ident: $read:ident -> $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            /// Where the table stands.
            pub section: Section,
            $($(#[$field_doc])* pub $key: Field<$type>,)*
        }

        impl $name {
            /// Every key that the table may have.
            pub const KEYS: &[&str] = &[$(stringify!($key)),*];

            pub(super) fn read(table: &mut Table<'_>) -> Self {
                Self {
                    section: table.section(),
                    $($key: table.$read(stringify!($key)),)*
                }
            }

            /// The keys that are there, without their values.
            #[must_use]
            pub fn given(&self) -> Vec<Field<()>> {
                [$(self.$key.bare()),*].into_iter().filter(|field| !field.is_absent()).collect()
            }
        }
    };
}

pub(super) use raw_table;
