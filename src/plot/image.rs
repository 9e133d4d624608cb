//! A finished picture in memory and its way into a PNG file.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Error;

/// A finished picture: three bytes (red, green, blue) per pixel, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The pixels, `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

/// Tells apart the temporary files of one process that writes several pictures at once.
static COUNTER: AtomicU64 = AtomicU64::new(0);

impl Image {
    /// Writes the picture as a PNG.
    ///
    /// The file is written under a temporary name in the same folder and then renamed, so that a
    /// reader never sees half a picture.
    ///
    /// # Errors
    ///
    /// If the file cannot be written; the error names the path.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let name = path.file_name().ok_or_else(|| Error::new(path, "the path has no file name"))?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!(
            ".{}.{}-{number}.png",
            name.to_string_lossy(),
            std::process::id()
        ));
        let result = self
            .encode(&temporary)
            .and_then(|()| std::fs::rename(&temporary, path).map_err(|reason| reason.to_string()));
        result.map_err(|reason| {
            // A left-over temporary file is useless, and it may not exist at all.
            let _ = std::fs::remove_file(&temporary);
            Error::new(path, reason)
        })
    }

    fn encode(&self, path: &Path) -> Result<(), String> {
        let file = File::create(path).map_err(|reason| reason.to_string())?;
        let mut encoder = png::Encoder::new(BufWriter::new(file), self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        // Flat colour repeats itself best as it is, if the encoder looks for repetition.
        encoder.set_compression(png::Compression::Best);
        encoder.set_filter(png::FilterType::NoFilter);
        let written = encoder.write_header().and_then(|mut file| {
            file.write_image_data(&self.rgb)?;
            file.finish()
        });
        written.map_err(|reason| reason.to_string())
    }
}
