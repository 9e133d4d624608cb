//! Odd data never breaks a picture, and the same data always gives the same bytes.

use plummet::plot::{
    Axis, Cell, Ground, Image, Lines, Map, Maps, Mark, Panels, Reference, Scale, Series, Stroke,
    theme,
};
use proptest::prelude::*;

const SCALES: [Scale; 3] = [Scale::Linear, Scale::Log10, Scale::Log2];

/// The part of the pixels that are not white.
fn ink(image: &Image) -> f64 {
    assert_eq!(image.rgb.len(), 3 * (image.width * image.height) as usize);
    let dark = image.rgb.chunks(3).filter(|pixel| **pixel != [255; 3]);
    dark.count() as f64 / f64::from(image.width * image.height)
}

fn chart(points: Vec<(f64, f64)>, scale: Scale) -> Lines {
    Lines {
        title: "A title".into(),
        x: Axis::new("x").scale(scale),
        y: Axis::new("y").scale(scale),
        series: vec![Series {
            markers: true,
            band: points.iter().map(|&(x, y)| (x, y - 1.0, y + 1.0)).collect(),
            end: Some(Mark::Diverged),
            ..Series::new("pre_ln", points)
        }],
        ..Lines::default()
    }
}

#[test]
fn odd_numbers_are_drawn() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let cases: Vec<Vec<(f64, f64)>> = vec![
        vec![],
        vec![(nan, nan)],
        vec![(0.0, inf), (1.0, -inf)],
        vec![(1.0, 1.0)],
        vec![(1.0, 5.0), (1.0, 5.0)],
        vec![(0.0, 0.0); 3],
        vec![(0.0, 1.0), (1.0, nan), (2.0, 3.0)],
        vec![(1.0, 1e300), (2.0, -1e300)],
        vec![(-f64::MAX, f64::MAX), (f64::MAX, -f64::MAX)],
        vec![(1.0, f64::MIN_POSITIVE), (2.0, 1e300)],
        vec![(1.0, 5e-324), (2.0, 1.0)],
        vec![(1.0, 1.0), (2.0, 1.0 + 1e-15)],
        vec![(-3.0, -2.0), (-1.0, 7.0)],
        vec![(5.0, 1.0), (1.0, 2.0), (3.0, 3.0)],
    ];
    for points in cases {
        for scale in SCALES {
            assert!(ink(&chart(points.clone(), scale).render()) > 0.001);
        }
    }
}

#[test]
fn odd_ranges_are_drawn() {
    let points = || (0..50).map(|x| (f64::from(x), f64::from(x * x))).collect();
    for (low, high) in [
        (0.0, 0.0),
        (f64::NAN, 1.0),
        (5.0, -5.0),
        (-1e300, 1e300),
        (1e9, 2e9),
        (-1.0, 10.0),
        (3.0, 3.0 + 1e-13),
    ] {
        for scale in SCALES {
            let mut lines = chart(points(), scale);
            lines.y = lines.y.range(low, high);
            lines.x = lines.x.range(low, high);
            assert!(ink(&lines.render()) > 0.001);
        }
    }
}

#[test]
fn pictures_without_anything_are_drawn() {
    assert!(ink(&Lines::default().render()) > 0.0005);
    assert!(ink(&Panels::default().render()) > 0.0005);
    assert!(ink(&Maps::default().render()) > 0.0005);
    let empty = Maps { maps: vec![Map::default()], ..Maps::default() };
    assert!(ink(&empty.render()) > 0.0005);
}

#[test]
fn many_lines_and_huge_labels_fit() {
    let huge = "a_very-long/label ".repeat(500) + &"W".repeat(5000);
    let series = |i: usize| Series {
        label: if i.is_multiple_of(3) { huge.clone() } else { format!("series {i}") },
        end: Some(Mark::ALL[i % Mark::ALL.len()]),
        markers: i.is_multiple_of(2),
        stroke: [Stroke::Styled, Stroke::Dashed, Stroke::None][i % 3],
        points: (0..20).map(|x| (f64::from(x), i as f64)).collect(),
        ..Series::default()
    };
    let lines = Lines {
        title: huge.clone(),
        subtitle: huge.clone(),
        x: Axis::new(huge.clone()),
        y: Axis::new(huge.clone()),
        series: (0..300).map(series).collect(),
        references: vec![Reference { value: 7.0, label: huge.clone() }; 9],
        notes: vec![huge.clone(); 9],
        ..Lines::default()
    };
    assert!(ink(&lines.render()) > 0.01);
    for size in [(0, 0), (400, 300), (3000, 600)] {
        for shared_legend in [false, true] {
            let panels = Panels {
                title: huge.clone(),
                panels: vec![lines.clone(), Lines::default(), chart(vec![], Scale::Log2)],
                shared_legend,
                same_y: true,
                size,
                ..Panels::default()
            };
            assert!(ink(&panels.render()) > 0.01);
        }
    }
}

#[test]
fn odd_maps_are_drawn() {
    let huge = "long_name ".repeat(100);
    for scale in SCALES {
        for count in [1, 7, 120] {
            let values = [1.0, -1.0, 0.0, f64::NAN, f64::INFINITY, 1e300, 1e-320];
            let cells = (0..count * count + 5).map(|i| Cell {
                row: i / count,
                column: i % count,
                value: (i % 5 != 0).then(|| values[i % values.len()]),
                mark: Mark::ALL.get(i % 8).copied(),
                ground: [None, Some(Ground::Pale), Some(Ground::Hatched), Some(Ground::Coloured)]
                    [i % 4],
                count: (i % 3 == 0).then_some((i % 4, 3)),
            });
            let map = Map {
                rows: vec![huge.clone(); count],
                columns: vec![huge.clone(); count],
                cells: cells.collect(),
                ..Map::default()
            };
            let maps = Maps {
                maps: vec![map.clone(), map, Map::default()],
                value: Axis::new(huge.clone()).scale(scale),
                ..Maps::default()
            };
            assert!(ink(&maps.render()) > 0.001);
        }
    }
}

#[test]
fn the_same_data_gives_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let points = (0..500).map(|x| (f64::from(x), f64::from(x).sin())).collect();
    let lines = chart(points, Scale::Linear);
    let [a, b] = ["a.png", "b.png"].map(|name| folder.path().join(name));
    lines.save(&a).unwrap();
    lines.save(&b).unwrap();
    let bytes = std::fs::read(&a).unwrap();
    assert!(bytes.starts_with(b"\x89PNG"));
    assert_eq!(bytes, std::fs::read(&b).unwrap());
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "temporary files are left over");
}

#[test]
fn an_error_names_the_file() {
    let error = Lines::default().save("/nowhere/at/all.png").unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all.png"), "{error}");
    assert!(Lines::default().save("/").is_err());
}

#[test]
fn values_beyond_a_fixed_range_stay_inside_the_frame() {
    let wild = (0..200).map(|x| (f64::from(x), 1e6 * f64::from(x).sin())).collect();
    let calm = (0..200).map(|x| (f64::from(x), 0.5)).collect();
    let picture = |points| {
        let mut lines = Lines {
            y: Axis::new("y").range(0.0, 1.0),
            series: vec![Series::new("", points)],
            ..Lines::default()
        };
        lines.x = Axis::new("x");
        lines.render()
    };
    let (wild, calm) = (picture(wild), picture(calm));
    // Above the frame there is only the label of the axis, whatever the line does.
    let rows = 3 * wild.width as usize * 70;
    assert_eq!(wild.rgb[..rows], calm.rgb[..rows]);
}

#[test]
fn a_wiring_keeps_its_look_among_others() {
    let colour = theme::wiring("deepnorm").unwrap().colour;
    for others in 0..4 {
        let mut series: Vec<_> = (0..others)
            .map(|i| Series::new(format!("other {i}"), vec![(0.0, f64::from(i)), (1.0, 0.0)]))
            .collect();
        series.push(Series::new("deepnorm", vec![(0.0, 5.0), (1.0, 5.0)]));
        let lines = Lines { series, ..Lines::default() };
        let wanted = [colour.0, colour.1, colour.2];
        assert!(lines.render().rgb.chunks(3).any(|pixel| pixel == wanted));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_data_is_drawn(
        points in proptest::collection::vec((any::<f64>(), any::<f64>()), 0..30),
        value in any::<f64>(),
        range in proptest::option::of((any::<f64>(), any::<f64>())),
        scale in proptest::sample::select(SCALES.to_vec()),
        label in ".{0,40}",
    ) {
        let mut lines = chart(points, scale);
        lines.size = (640, 400);
        lines.title.clone_from(&label);
        lines.y.range = range;
        lines.series[0].label.clone_from(&label);
        lines.references.push(Reference { value, label });
        prop_assert_eq!(lines.render(), lines.render());
    }
}
