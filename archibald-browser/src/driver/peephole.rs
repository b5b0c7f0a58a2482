//! A look at a page that somebody else is using.

use std::sync::Weak;

use chromiumoxide::cdp::browser_protocol::page::{
    CaptureScreenshotFormat, CaptureScreenshotParams, Viewport,
};

use super::page_core::PageCore;
use super::{DriverError, Limit, Page};

/// What is shown of the page, in CSS pixels from its upper left corner: a window is as wide, and somewhat higher.
const SHOWN: (f64, f64) = (1280.0, 800.0);
/// How small.
const SCALE: f64 = 0.25;
/// Bytes of a small picture.
const LARGEST: usize = 32 * 1024;
/// One after the other, until the picture is small enough.
const QUALITIES: [i64; 3] = [50, 25, 10];

/// Looks into a page without holding it: nothing that it asks of the page changes it, goes through those who
/// use it, or makes them wait. Whoever closes the page closes it.
///
/// The document itself is asked nothing: while it waits for its next one, which with a slow site is nearly always,
/// Chromium keeps such questions back.
#[derive(Debug, Clone)]
pub(crate) struct Peephole(Weak<PageCore>);

/// What a look brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// A small JPEG.
    Seen(Vec<u8>),
    /// It must not be seen.
    Hidden,
    /// The page is gone, or another document came meanwhile, or somebody else takes a picture.
    Missed,
    /// The picture is too large at its coarsest.
    TooLarge,
}

impl Peephole {
    pub(crate) fn into(page: &Page) -> Self {
        Self(page.downgrade())
    }

    /// The page, unless its address is `hidden`.
    ///
    /// If the future is dropped, the page may still take its picture, for nobody.
    pub(crate) async fn look(
        &self,
        limit: &Limit,
        hidden: impl Fn(&str) -> bool,
    ) -> Result<Looked, DriverError> {
        let Some(core) = self.0.upgrade() else { return Ok(Looked::Missed) };
        let (document, address) = core.document();
        if hidden(&address) {
            return Ok(Looked::Hidden);
        }
        for quality in QUALITIES {
            let picture = core.shot_aside(limit, small(quality)).await?;
            let Some(picture) = picture.filter(|_| core.document().0 == document) else {
                return Ok(Looked::Missed);
            };
            if picture.len() <= LARGEST {
                return Ok(Looked::Seen(picture));
            }
        }
        Ok(Looked::TooLarge)
    }
}

/// The clip alone is scaled, as it is painted; the document is told nothing.
fn small(quality: i64) -> CaptureScreenshotParams {
    let (width, height) = SHOWN;
    let clip = Viewport { x: 0.0, y: 0.0, width, height, scale: SCALE };
    let jpeg = CaptureScreenshotParams::builder().format(CaptureScreenshotFormat::Jpeg).quality(quality);
    jpeg.clip(clip).optimize_for_speed(true).build()
}
