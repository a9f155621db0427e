//! What a program tells: a record of fixed length, each field of it with the path by which the kernel has it.
//!
//! The table is the record and the program at once: [`Record::FIELDS`] is gone through by whoever writes the program, and what comes
//! back is read by the same table.

/// A type that a field may have.
pub trait Scalar: Sized {
    /// Reads it; `bytes` are as many as it has.
    fn read(bytes: &[u8]) -> Self;
}

impl Scalar for u32 {
    fn read(bytes: &[u8]) -> u32 {
        bytes.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }
}

impl Scalar for u64 {
    fn read(bytes: &[u8]) -> u64 {
        bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    }
}

impl Scalar for [u8; 16] {
    fn read(bytes: &[u8]) -> [u8; 16] {
        bytes.first_chunk().copied().unwrap_or_default()
    }
}

/// A field of a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Where it begins, in bytes from the beginning of the record.
    pub offset: u16,
    /// How many bytes it has.
    pub bytes: u16,
    /// By which path the kernel has it; `None` where the program sees to it in another way.
    pub path: Option<&'static str>,
}

/// A record of fixed length.
pub trait Record: Sized {
    /// How many bytes it has: there are no gaps.
    const BYTES: usize;
    /// Its fields.
    const FIELDS: &'static [Field];
    /// Reads it; `bytes` are as many as it has.
    fn read(bytes: &[u8]) -> Self;

    /// Where a record begins on the stack of the program: in bytes from the end.
    const SLOT: i16 = -(Self::BYTES.next_multiple_of(8) as i16);
}

/// Defines a record, its table and how it is read.
macro_rules! record {
    (
        $(#[$about:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$field_about:meta])* $field:ident: $type:ty $(= $path:literal)?,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        $visibility struct $name {
            $($(#[$field_about])* $visibility $field: $type,)*
        }

        impl $crate::sys::bpf::record::Record for $name {
            const BYTES: usize = 0 $(+ std::mem::size_of::<$type>())*;
            const FIELDS: &'static [$crate::sys::bpf::record::Field] = &[$(
                $crate::sys::bpf::record::Field {
                    offset: std::mem::offset_of!($name, $field) as u16,
                    bytes: std::mem::size_of::<$type>() as u16,
                    path: record!(@path $($path)?),
                },
            )*];

            fn read(bytes: &[u8]) -> $name {
                $name {
                    $($field: {
                        let from = std::mem::offset_of!($name, $field);
                        let part = bytes.get(from..from + std::mem::size_of::<$type>()).unwrap_or_default();
                        <$type as $crate::sys::bpf::record::Scalar>::read(part)
                    },)*
                }
            }
        }

        // What has a gap would hand out what was on the stack before.
        const _: () = {
            let mut total = 0;
            $(
                assert!(total == std::mem::offset_of!($name, $field), "a record has no gaps");
                total += std::mem::size_of::<$type>();
            )*
            let _ = total;
        };
    };
    (@path) => { None };
    (@path $path:literal) => { Some($path) };
}
pub(crate) use record;

#[cfg(test)]
mod tests;
