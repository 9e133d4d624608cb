//! What the norms have in common.

use crate::gate::operator::Axis;

/// Rows and columns at and beside registers, blocks and grids.
pub const AXES: &[Axis] = &[
    Axis { name: "rows", sizes: &[1, 2, 3, 7, 8, 13, 33, 64, 127, 257, 65539] },
    Axis {
        name: "cols",
        sizes: &[
            1, 2, 3, 7, 31, 32, 33, 50, 127, 128, 129, 255, 256, 257, 768, 1000, 1023, 1024, 1025,
            65537,
        ],
    },
];
