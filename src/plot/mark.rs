//! Marks: how a run ended, and the shapes of points.

use plotters::style::{RGBColor, WHITE};

use super::boxes::Point;
use super::shape::Shape;
use super::surface::Surface;
use super::theme::Marker;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// It trained.
    Ok,
    /// The loss had spikes but came back.
    Spike,
    /// The run ended before it trained or came to a plateau.
    Unfinished,
    /// The loss stayed on a plateau.
    Stuck,
    /// The tokens became all alike.
    Collapsed,
    /// The loss grew without end.
    Diverged,
    /// A value was infinite or not a number.
    NonFinite,
}

impl Mark {
    /// All marks, from good to bad.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::Spike,
        Self::Unfinished,
        Self::Stuck,
        Self::Collapsed,
        Self::Diverged,
        Self::NonFinite,
    ];

    /// The word shown in the key.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "trained",
            Self::Spike => "trained, with spikes",
            Self::Unfinished => "unfinished",
            Self::Stuck => "stuck",
            Self::Collapsed => "collapsed",
            Self::Diverged => "diverged",
            Self::NonFinite => "not finite",
        }
    }

    /// Whether the run trained.
    #[must_use]
    pub const fn trained(self) -> bool {
        matches!(self, Self::Ok | Self::Spike)
    }

    /// Whether the run showed that it does not train; a run that ended too early showed neither.
    #[must_use]
    pub const fn fails(self) -> bool {
        !self.trained() && !matches!(self, Self::Unfinished)
    }

    /// Draws the mark; `radius` is about half its height.
    pub(crate) fn draw(self, surface: &mut Surface, at: Point, radius: f64, colour: RGBColor) {
        let place = |x: f64, y: f64| (at.0 + x * radius, at.1 + y * radius);
        let pen = (radius * 0.3).max(2.0);
        let shape = match self {
            Self::Ok => Shape::disc(at, radius * 0.85),
            Self::Spike => Shape::polygon([
                place(0.25, -1.25),
                place(-0.75, 0.2),
                place(-0.1, 0.2),
                place(-0.3, 1.25),
                place(0.75, -0.3),
                place(0.08, -0.3),
            ]),
            Self::Unfinished => {
                let dots = [-0.85, 0.0, 0.85].map(|x| Shape::disc(place(x, 0.0), radius * 0.3));
                let mut shape = Shape::default();
                dots.into_iter().for_each(|dot| shape.add(dot));
                shape
            }
            Self::Stuck => hollow(surface, &square(at, radius * 0.85), pen),
            Self::Collapsed => {
                let triangle = [place(-1.0, -0.75), place(1.0, -0.75), place(0.0, 0.95)];
                hollow(surface, &triangle, pen)
            }
            Self::Diverged => {
                let mut arrow =
                    Shape::polygon([place(-0.8, -0.1), place(0.0, -1.2), place(0.8, -0.1)]);
                arrow.add(Shape::stroke(&[place(0.0, -0.3), place(0.0, 1.1)], pen * 1.25));
                arrow
            }
            Self::NonFinite => cross(at, radius * 0.85, pen * 1.1),
        };
        halo(surface, &shape);
        surface.fill(&shape, colour, 1.0);
    }
}

/// Paints a thin white edge around a shape, so that it stands out from the lines behind it.
fn halo(surface: &mut Surface, shape: &Shape) {
    for ring in &shape.rings {
        surface.fill(&Shape::outline(ring, 4.0), WHITE, 1.0);
    }
}

/// Whitens the inside of a polygon and gives its outline.
fn hollow(surface: &mut Surface, corners: &[Point], pen: f64) -> Shape {
    surface.fill(&Shape::polygon(corners.iter().copied()), WHITE, 1.0);
    Shape::outline(corners, pen)
}

fn square(at: Point, half: f64) -> [Point; 4] {
    [
        (at.0 - half, at.1 - half),
        (at.0 + half, at.1 - half),
        (at.0 + half, at.1 + half),
        (at.0 - half, at.1 + half),
    ]
}

fn cross(at: Point, half: f64, pen: f64) -> Shape {
    let [a, b, c, d] = square(at, half);
    let mut shape = Shape::stroke(&[a, c], pen);
    shape.add(Shape::stroke(&[b, d], pen));
    shape
}

impl Marker {
    /// Draws the marker with a white edge.
    pub(crate) fn draw(self, surface: &mut Surface, at: Point, radius: f64, colour: RGBColor) {
        let place = |(x, y): Point| (at.0 + x * radius, at.1 + y * radius);
        let shape = match self {
            Self::Circle => Shape::disc(at, radius),
            Self::Square => Shape::polygon(square(at, radius * 0.88)),
            Self::Diamond => Shape::regular(at, radius * 1.25, 4, 0.0),
            Self::Up => Shape::regular((at.0, at.1 + radius * 0.2), radius * 1.3, 3, 0.0),
            Self::Pentagon => Shape::regular(at, radius * 1.12, 5, 0.0),
            Self::Star => Shape::polygon((0..10).map(|i| {
                let angle = std::f64::consts::PI * f64::from(i) / 5.0;
                let reach = if i % 2 == 0 { 1.4 } else { 0.6 };
                place((reach * libm::sin(angle), -reach * libm::cos(angle)))
            })),
            Self::Plus => {
                let mut plus =
                    Shape::stroke(&[place((-1.2, 0.0)), place((1.2, 0.0))], radius * 0.75);
                plus.add(Shape::stroke(&[place((0.0, -1.2)), place((0.0, 1.2))], radius * 0.75));
                plus
            }
            Self::Left => Shape::regular(
                (at.0 + radius * 0.2, at.1),
                radius * 1.3,
                3,
                -std::f64::consts::FRAC_PI_2,
            ),
            Self::Bar => {
                Shape::polygon([(-0.45, -1.2), (0.45, -1.2), (0.45, 1.2), (-0.45, 1.2)].map(place))
            }
            Self::Bow => {
                let mut bow = Shape::polygon([(-1.1, -1.0), (0.1, 0.0), (-1.1, 1.0)].map(place));
                bow.add(Shape::polygon([(1.1, -1.0), (-0.1, 0.0), (1.1, 1.0)].map(place)));
                bow
            }
        };
        for ring in &shape.rings {
            surface.fill(&Shape::outline(ring, 3.0), WHITE, 1.0);
        }
        surface.fill(&shape, colour, 1.0);
    }
}
