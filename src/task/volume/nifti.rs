//! Volumes of the format NIfTI-1, in one file, `.nii` or compressed by gzip.
//!
//! The fields are those of `nifti1.h` (NIfTI Data Format Working Group, 2003): a header of 348 bytes in
//! either byte order, then voxels from `vox_offset` on, the first axis varying fastest. A voxel v
//! stands for scl_slope·v + scl_inter.
//!
//! Nothing is allocated on the word of a header: voxels are kept as they are read, and a volume that
//! would take too much is refused before its first one.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use crate::memory::amount;

/// Bytes of the header.
const HEADER: usize = 348;
/// Where voxels begin at the earliest, and where a header that says nothing has them.
const FIRST: u64 = 352;
/// Where they begin at the latest: some room for extensions, not enough for a bomb.
const LATEST: u64 = 1 << 26;
/// What begins a file that is compressed by gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A volume in memory.
#[derive(Debug, Clone)]
pub struct Nifti {
    /// Voxels along each axis.
    pub dims: [usize; 3],
    /// Their values, all finite, the first axis varying fastest.
    pub voxels: Vec<f32>,
    /// Rows of the matrix that takes voxel indices (i, j, k, 1) to millimetres.
    pub affine: [[f64; 4]; 3],
}

/// Reads the volume of a file's bytes, of which the voxels take up to `most` bytes as `f32`.
///
/// # Errors
/// What is allowed, and in brackets what there is instead.
pub fn parse(bytes: &[u8], most: u64) -> Result<Nifti, String> {
    if bytes.starts_with(&GZIP) {
        return read(&mut MultiGzDecoder::new(bytes), most);
    }
    read(&mut { bytes }, most)
}

fn read(from: &mut dyn Read, most: u64) -> Result<Nifti, String> {
    let mut bytes = [0; HEADER];
    fill(from, &mut bytes, || "its header".to_string())?;
    let header = Header::new(bytes)?;
    let dims = header.dims()?;
    let count = dims.iter().map(|&n| n as u64).product::<u64>();
    if count.saturating_mul(size_of::<f32>() as u64) > most {
        let voxels = format!("{} × {} × {}", dims[0], dims[1], dims[2]);
        let most = amount(most);
        return Err(format!("a volume of up to {most} at 4 bytes a voxel (this one has {voxels})"));
    }
    let (size, number) = number(header.i16(70)).ok_or_else(|| {
        format!(
            "a datatype of {}complex and colours are not (this one's is {})",
            NUMBERS,
            header.i16(70)
        )
    })?;
    let (slope, inter) = header.scale()?;
    let gap = header.voxels_at()? - HEADER as u64;
    let skipped = io::copy(&mut from.take(gap), &mut io::sink()).map_err(|e| broken(&e))?;
    if skipped < gap {
        return Err(format!("a whole NIfTI-1 file (this one ends before its voxels, at {gap})"));
    }
    let mut voxels = Vec::new();
    let mut chunk = vec![0; size * 8192];
    while (voxels.len() as u64) < count {
        let next = (count - voxels.len() as u64).min(8192) as usize * size;
        let place = || format!("its voxels, behind {} of {count}", voxels.len());
        fill(from, &mut chunk[..next], place)?;
        for bytes in chunk[..next].chunks_exact(size) {
            let value = (slope * number(bytes, header.big) + inter) as f32;
            if !value.is_finite() {
                let at = voxels.len();
                let [i, j, k] = [at % dims[0], at / dims[0] % dims[1], at / (dims[0] * dims[1])];
                return Err(format!("finite voxels (this one's [{i}, {j}, {k}] is {value})"));
            }
            voxels.push(value);
        }
    }
    voxels.shrink_to_fit();
    // Where the file ends here, gzip compares its checksum.
    io::copy(&mut from.take(1), &mut io::sink()).map_err(|error| broken(&error))?;
    Ok(Nifti { dims, voxels, affine: header.affine()? })
}

/// Fills `bytes`; `within` says in what a file ends that has fewer.
fn fill(from: &mut dyn Read, bytes: &mut [u8], within: impl Fn() -> String) -> Result<(), String> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            format!("a whole NIfTI-1 file (this one ends within {})", within())
        }
        _ => broken(&error),
    })
}

fn broken(error: &io::Error) -> String {
    format!("a NIfTI-1 file, as it is or whole in gzip (this one's gzip: {error})")
}

/// Writes the numbers that a voxel can be: code, name, type.
macro_rules! numbers {
    ($($code:literal $name:literal $type:ty),+ $(,)?) => {
        const NUMBERS: &str = concat!($($code, " ", $name, ", "),+);

        /// Bytes of a number by its code, and what reads one, in big-endian order or little.
        fn number(code: i16) -> Option<(usize, fn(&[u8], bool) -> f64)> {
            Some(match code {
                $($code => (size_of::<$type>(), |bytes, big| {
                    let bytes = bytes.try_into().expect("as many bytes as it has");
                    let read = if big { <$type>::from_be_bytes } else { <$type>::from_le_bytes };
                    read(bytes) as f64
                }),)+
                _ => return None,
            })
        }
    };
}
numbers! {
    2 "uint8" u8,
    4 "int16" i16,
    8 "int32" i32,
    16 "float32" f32,
    64 "float64" f64,
    256 "int8" i8,
    512 "uint16" u16,
    768 "uint32" u32,
    1024 "int64" i64,
    1280 "uint64" u64,
}

/// The header of a file, by the places of its fields.
struct Header {
    bytes: [u8; HEADER],
    /// Whether the most significant byte is first.
    big: bool,
}

impl Header {
    fn new(bytes: [u8; HEADER]) -> Result<Header, String> {
        let other =
            |what: &str| Err(format!("a NIfTI-1 file, its voxels in it (this one is {what})"));
        let size = [bytes[0], bytes[1], bytes[2], bytes[3]];
        let big = match (u32::from_le_bytes(size), u32::from_be_bytes(size)) {
            (348, _) => false,
            (_, 348) => true,
            (540, _) | (_, 540) => return other("NIfTI-2"),
            _ => return other("none: it does not begin with 348, the size of a header"),
        };
        match &bytes[344..348] {
            b"n+1\0" => Ok(Header { bytes, big }),
            b"ni1\0" => other("a header, with its voxels in an .img"),
            magic => {
                let magic = magic.escape_ascii();
                other(&format!("none: its magic, at byte 344, is '{magic}', not 'n+1\\0'"))
            }
        }
    }

    fn at<const N: usize>(&self, place: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[place..place + N]);
        if self.big {
            bytes.reverse();
        }
        bytes
    }

    fn i16(&self, place: usize) -> i16 {
        i16::from_le_bytes(self.at(place))
    }

    fn f32(&self, place: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.at(place)))
    }

    /// Voxels along the three axes.
    fn dims(&self) -> Result<[usize; 3], String> {
        let dim: [i16; 8] = std::array::from_fn(|axis| self.i16(40 + 2 * axis));
        let axes = usize::try_from(dim[0]).ok().filter(|axes| (1..8).contains(axes));
        let Some(axes) = axes else {
            return Err(format!(
                "a dim[0], the number of axes, of 3 to 7 (this one's is {})",
                dim[0]
            ));
        };
        let sizes: Vec<String> = dim[1..=axes].iter().map(i16::to_string).collect();
        let sizes = sizes.join(" × ");
        if axes < 3 || dim[1..=axes].iter().any(|&size| size < 1) {
            return Err(format!("three axes of 1 voxel or more (this one has {sizes})"));
        }
        if dim[4..=axes.max(3)].iter().any(|&size| size > 1) {
            return Err(format!("one volume of three axes (this one has several: {sizes})"));
        }
        Ok([1, 2, 3].map(|axis| dim[axis] as usize))
    }

    /// scl_slope and scl_inter; a slope of 0 stands for none.
    fn scale(&self) -> Result<(f64, f64), String> {
        let (slope, inter) = (self.f32(112), self.f32(116));
        match (slope.is_finite() && inter.is_finite(), slope == 0.0) {
            (true, true) => Ok((1.0, 0.0)),
            (true, false) => Ok((slope, inter)),
            _ => Err(format!("a finite scl_slope and scl_inter (this one's are {slope}, {inter})")),
        }
    }

    /// Where the voxels begin.
    fn voxels_at(&self) -> Result<u64, String> {
        let offset = self.f32(108);
        if offset == 0.0 {
            return Ok(FIRST);
        }
        if offset.fract() == 0.0 && (FIRST as f64..=LATEST as f64).contains(&offset) {
            return Ok(offset as u64);
        }
        Err(format!("a whole vox_offset from {FIRST} to {LATEST} (this one's is {offset})"))
    }

    /// The matrix from voxel indices to millimetres: that of sform_code, or else of qform_code, or
    /// else the sizes of a voxel.
    fn affine(&self) -> Result<[[f64; 4]; 3], String> {
        let affine = if self.i16(254) > 0 {
            [0, 1, 2].map(|row| std::array::from_fn(|col| self.f32(280 + 16 * row + 4 * col)))
        } else if self.i16(252) > 0 {
            self.rotated()
        } else {
            [0, 1, 2].map(|row| {
                std::array::from_fn(|col| if row == col { self.f32(80 + 4 * row) } else { 0.0 })
            })
        };
        match affine.iter().flatten().all(|number| number.is_finite()) {
            true => Ok(affine),
            false => Err("a finite place in space (its sform, qform or pixdim is not)".to_string()),
        }
    }

    /// The matrix of a rotation by the unit quaternion (a, b, c, d), a ≥ 0, of voxels of some size.
    fn rotated(&self) -> [[f64; 4]; 3] {
        let [b, c, d] = [256, 260, 264].map(|place| self.f32(place));
        let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
        let rotation = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ];
        // The sign of pixdim[0] is that of the third axis.
        let third = if self.f32(76) < 0.0 { -1.0 } else { 1.0 };
        let sizes = [self.f32(80), self.f32(84), third * self.f32(88)];
        [0, 1, 2].map(|row| {
            let [x, y, z] = [0, 1, 2].map(|col| rotation[row][col] * sizes[col]);
            [x, y, z, self.f32(268 + 4 * row)]
        })
    }
}

/// Parts of a voxel's size by which two volumes may lie apart and be in the same place: far above what
/// `f32` makes of a place in millimetres, and far below what would mix voxels.
const APART: f64 = 0.01;

impl Nifti {
    /// How far the corners of two volumes of one shape lie apart at most, in sizes of a voxel.
    fn apart(&self, other: &Nifti) -> f64 {
        let [a, b] = [self, other].map(|volume| volume.affine);
        let size = [0, 1, 2].map(|axis| a.iter().map(|row| row[axis].powi(2)).sum::<f64>().sqrt());
        let size = size.into_iter().fold(f64::INFINITY, f64::min);
        let mut most = 0.0f64;
        for corner in 0..8 {
            let at = |axis: usize| (corner >> axis & 1) as f64 * (self.dims[axis] - 1) as f64;
            let [i, j, k] = [at(0), at(1), at(2)];
            let moved = |row: usize| {
                let step: [f64; 4] = std::array::from_fn(|col| a[row][col] - b[row][col]);
                step[0] * i + step[1] * j + step[2] * k + step[3]
            };
            most = most.max((0..3).map(|row| moved(row).powi(2)).sum::<f64>().sqrt());
        }
        most / size
    }

    /// Checks that `other` has the same voxels at the same places.
    ///
    /// # Errors
    /// What is allowed for `other`, and in brackets what it is.
    pub fn lies_on(&self, other: &Nifti) -> Result<(), String> {
        let shape = |[x, y, z]: [usize; 3]| format!("{x} × {y} × {z}");
        if self.dims != other.dims {
            let (own, wanted) = (shape(other.dims), shape(self.dims));
            return Err(format!("a volume of {wanted} voxels, as the other (this one has {own})"));
        }
        let apart = self.apart(other);
        // A volume without any size is nowhere: the comparison with NaN is false.
        if apart <= APART {
            return Ok(());
        }
        Err(format!(
            "a volume at the place of the other (by their affines, corners are {apart:.2} voxels apart)"
        ))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    /// The bytes of a file of `float32` voxels, a millimetre apart.
    pub fn file(dims: [i16; 3], voxels: &[f32]) -> Vec<u8> {
        let bytes: Vec<u8> = voxels.iter().flat_map(|v| v.to_le_bytes()).collect();
        typed(16, dims, &bytes)
    }

    /// The same of voxels of some datatype.
    fn typed(datatype: i16, [x, y, z]: [i16; 3], voxels: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 352];
        put(&mut bytes, 0, &348i32.to_le_bytes());
        for (axis, size) in [3, x, y, z, 1, 1, 1, 1].into_iter().enumerate() {
            put(&mut bytes, 40 + 2 * axis, &size.to_le_bytes());
        }
        put(&mut bytes, 70, &datatype.to_le_bytes());
        for axis in 0..4 {
            put(&mut bytes, 76 + 4 * axis, &1f32.to_le_bytes());
        }
        put(&mut bytes, 108, &352f32.to_le_bytes());
        put(&mut bytes, 344, b"n+1\0");
        bytes.extend(voxels);
        bytes
    }

    fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
        bytes[at..at + field.len()].copy_from_slice(field);
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const MOST: u64 = 1 << 20;

    fn eight() -> Vec<u8> {
        file([2, 2, 2], &[0.5, -1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    }

    #[test]
    fn every_datatype_is_read_in_either_byte_order() {
        macro_rules! check {
            ($($code:literal $type:ty),+) => {$(
                let values: [$type; 4] = [3 as $type, 100 as $type, 0 as $type, <$type>::MAX];
                for big in [false, true] {
                    let bytes = values.map(|v| if big { v.to_be_bytes() } else { v.to_le_bytes() });
                    let mut bytes = typed($code, [4, 1, 1], &bytes.concat());
                    put(&mut bytes, 112, &0.5f32.to_le_bytes());
                    put(&mut bytes, 116, &(-2f32).to_le_bytes());
                    if big {
                        // The header's size, 8 dims, datatype and bitpix, 11 floats, two codes.
                        let fields = [(0, 4, 1), (40, 2, 8), (70, 2, 2), (76, 4, 11), (252, 2, 2)];
                        for (at, size, count) in fields {
                            bytes[at..at + size * count].chunks_mut(size).for_each(<[u8]>::reverse);
                        }
                    }
                    let wanted = values.map(|v| (0.5 * v as f64 - 2.0) as f32);
                    match wanted[3].is_finite() {
                        true => assert_eq!(parse(&bytes, MOST).unwrap().voxels, wanted),
                        false => assert!(parse(&bytes, MOST).unwrap_err().contains("[3, 0, 0] is inf")),
                    }
                }
            )+};
        }
        check!(2 u8, 4 i16, 8 i32, 16 f32, 64 f64, 256 i8, 512 u16, 768 u32, 1024 i64, 1280 u64);
    }

    #[test]
    fn a_compressed_file_is_the_same_volume() {
        let [plain, packed] = [eight(), gzip(&eight())].map(|bytes| parse(&bytes, MOST).unwrap());
        assert_eq!((plain.dims, plain.voxels), (packed.dims, packed.voxels));
    }

    #[test]
    fn what_ends_too_soon_or_is_damaged_is_refused_wherever() {
        let (plain, packed) = (eight(), gzip(&eight()));
        for length in 0..plain.len() {
            let error = parse(&plain[..length], MOST).unwrap_err();
            assert!(error.contains("ends within") || error.contains("ends before"), "{error}");
        }
        for length in 0..packed.len() {
            assert!(parse(&packed[..length], MOST).is_err(), "{length} of {}", packed.len());
        }
        // The checksum stands before the length, in the last 8 bytes.
        let mut packed = packed;
        let at = packed.len() - 8;
        packed[at] ^= 1;
        assert!(parse(&packed, MOST).unwrap_err().contains("this one's gzip"));
    }

    #[test]
    fn a_header_that_does_not_hold_is_refused_by_its_field() {
        let changes: [(usize, &[u8], &str); 18] = [
            (0, &540i32.to_le_bytes(), "NIfTI-2"),
            (0, b"Date", "does not begin with 348"),
            (344, b"ni1\0", ".img"),
            (344, b"\0\0\0\0", "its magic, at byte 344, is '\\x00"),
            (40, &0i16.to_le_bytes(), "dim[0]"),
            (40, &8i16.to_le_bytes(), "dim[0]"),
            (40, &(-3i16).to_le_bytes(), "dim[0]"),
            (40, &2i16.to_le_bytes(), "three axes of 1 voxel or more (this one has 2 × 2)"),
            (42, &0i16.to_le_bytes(), "(this one has 0 × 2 × 2)"),
            (44, &(-5i16).to_le_bytes(), "(this one has 2 × -5 × 2)"),
            (
                40,
                &[4, 0, 2, 0, 2, 0, 2, 0, 7, 0],
                "one volume of three axes (this one has several: 2 × 2 × 2 × 7)",
            ),
            (
                42,
                &[0xff, 0x7f, 0xff, 0x7f],
                "up to 1.0 MiB at 4 bytes a voxel (this one has 32767 × 32767 × 2)",
            ),
            (70, &128i16.to_le_bytes(), "colours are not (this one's is 128)"),
            (70, &32i16.to_le_bytes(), "complex and"),
            (108, &f32::NAN.to_le_bytes(), "a whole vox_offset from 352"),
            (108, &1e30f32.to_le_bytes(), "a whole vox_offset from 352"),
            (112, &f32::INFINITY.to_le_bytes(), "a finite scl_slope"),
            (76 + 4, &f32::NAN.to_le_bytes(), "a finite place in space"),
        ];
        for (at, field, said) in changes {
            let mut bytes = eight();
            put(&mut bytes, at, field);
            let error = parse(&bytes, MOST).unwrap_err();
            assert!(error.contains(said), "{error} for {said}");
        }
        let mut bytes = eight();
        put(&mut bytes, 40, &[4, 0, 2, 0, 2, 0, 2, 0, 1, 0]);
        assert!(parse(&bytes, MOST).is_ok(), "a fourth axis of one volume");
        put(&mut bytes, 352 + 4 * 5, &f32::NAN.to_le_bytes());
        assert!(parse(&bytes, MOST).unwrap_err().contains("[1, 0, 1] is NaN"));
    }

    /// A header may promise any number of voxels, and gzip any number of bytes: little is kept.
    #[test]
    fn a_bomb_is_cut_off() {
        let mut promise = file([32767, 32767, 32767], &[]);
        let error = parse(&promise, u64::MAX).unwrap_err();
        assert!(error.contains("behind 0 of 35181150961663"), "{error}");
        put(&mut promise, 42, &[0, 1, 0, 1, 4, 0]);
        let bomb = gzip(&[&promise[..], &vec![0; 8 << 20]].concat());
        assert!(bomb.len() < 1 << 14);
        let volume = parse(&bomb, MOST).unwrap();
        assert_eq!(volume.voxels.len(), 1 << 18, "what the header says, and nothing behind it");
        assert!(parse(&bomb, MOST - 1).unwrap_err().contains("256 × 256 × 4"));
    }

    /// A quarter turn about the third axis, voxels of 2 mm, a corner at (10, 20, 30).
    #[test]
    fn a_quaternion_and_the_matrix_that_it_stands_for_are_one_place() {
        let mut turned = eight();
        put(&mut turned, 252, &1i16.to_le_bytes());
        put(&mut turned, 264, &0.5f32.sqrt().to_le_bytes());
        for axis in 0..3 {
            put(&mut turned, 80 + 4 * axis, &2f32.to_le_bytes());
            put(&mut turned, 268 + 4 * axis, &(10f32 + 10.0 * axis as f32).to_le_bytes());
        }
        let mut matrix = eight();
        put(&mut matrix, 254, &1i16.to_le_bytes());
        let rows = [[0f32, -2.0, 0.0, 10.0], [2.0, 0.0, 0.0, 20.0], [0.0, 0.0, 2.0, 30.0]];
        for (i, number) in rows.as_flattened().iter().enumerate() {
            put(&mut matrix, 280 + 4 * i, &number.to_le_bytes());
        }
        let [turned, matrix, plain] =
            [turned, matrix, eight()].map(|bytes| parse(&bytes, MOST).unwrap());
        turned.lies_on(&matrix).unwrap();
        assert!(turned.lies_on(&plain).unwrap_err().contains("voxels apart"));
        let longer = parse(&file([2, 2, 3], &[0.0; 12]), MOST).unwrap();
        let error = plain.lies_on(&longer).unwrap_err();
        assert!(
            error.contains("2 × 2 × 2 voxels, as the other (this one has 2 × 2 × 3)"),
            "{error}"
        );
    }
}
