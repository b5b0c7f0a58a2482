//! Lines in panels, as SVG that follows the reader's light or dark scheme.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;
/// Of what is drawn in, without axes and legend.
const HEIGHT: f64 = 200.0;
/// Of a line of the legend.
const LEGEND: f64 = 17.0;

const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#424a53}.t{font-weight:600}.g{stroke:#8c959f;stroke-opacity:.3}\
path{fill:none;stroke-width:2}.c0{stroke:#0969da}.c1{stroke:#bc4c00}.c2{stroke:#1a7f37}.c3{stroke:#8250df}\
.limit{stroke:#cf222e;stroke-dasharray:5 4;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#b1bac4}.c0{stroke:#58a6ff}.c1{stroke:#f0883e}.c2{stroke:#56d364}\
.c3{stroke:#bc8cff}.limit{stroke:#ff7b72}}";

/// One way of measuring.
#[derive(Debug)]
pub(super) struct Axis {
    title: String,
    from: f64,
    to: f64,
    /// Of a logarithmic one there is none.
    step: Option<f64>,
}

/// Points that belong together.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) points: Vec<(f64, f64)>,
    name: String,
    is_limit: bool,
}

/// Lines over the same axes.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// The panels, one below the other.
pub(super) fn picture(panels: &[Panel]) -> String {
    let height: f64 = panels.iter().map(Panel::height).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<style>{STYLE}</style>\n"
    );
    let mut top = 0.0;
    for panel in panels {
        panel.draw(top, &mut svg);
        top += panel.height();
    }
    svg.push_str("</svg>\n");
    svg
}

impl Axis {
    pub(super) fn linear(title: &str, from: f64, to: f64, step: f64) -> Self {
        Self { title: title.to_owned(), from, to, step: Some(step) }
    }

    pub(super) fn logarithmic(title: &str, from: f64, to: f64) -> Self {
        Self { title: title.to_owned(), from, to: to.max(from * 1.01), step: None }
    }

    /// From 0 to 1, what lies outside at its end.
    fn place(&self, value: f64) -> f64 {
        let place = match self.step {
            Some(_) => (value - self.from) / (self.to - self.from),
            None => (value / self.from).ln() / (self.to / self.from).ln(),
        };
        place.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let inside = |value: &f64| *value >= self.from * 0.999 && *value <= self.to * 1.001;
        match self.step {
            Some(step) => {
                let count = ((self.to - self.from) / step * 1.001) as u32;
                (0..=count).map(|nth| self.from + step * f64::from(nth)).collect()
            }
            None => {
                let decades = (self.to / self.from).log10();
                let within: &[f64] = if decades < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let powers = (-3..=7).map(|power| 10_f64.powi(power));
                powers.flat_map(|power| within.iter().map(move |m| m * power)).filter(inside).collect()
            }
        }
    }
}

impl Line {
    pub(super) fn new(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { points, name: name.to_owned(), is_limit: false }
    }

    pub(super) fn limit(name: &str, points: [(f64, f64); 2]) -> Self {
        Self { points: points.to_vec(), name: name.to_owned(), is_limit: true }
    }

    fn class(&self, nth: usize) -> String {
        if self.is_limit { "limit".to_owned() } else { format!("c{}", nth % 4) }
    }
}

impl Panel {
    fn height(&self) -> f64 {
        TOP + HEIGHT + BOTTOM + LEGEND * self.lines.len() as f64
    }

    fn draw(&self, top: f64, svg: &mut String) {
        let (bottom, right) = (top + TOP + HEIGHT, WIDTH - RIGHT);
        let x = |value| LEFT + self.x.place(value) * (right - LEFT);
        let y = |value| bottom - self.y.place(value) * HEIGHT;
        let _ = writeln!(svg, "<text class=\"t\" x=\"{LEFT}\" y=\"{:.0}\">{}</text>", top + 18.0, self.title);
        for tick in self.y.ticks() {
            let (at, text) = (y(tick), label(tick));
            let _ = writeln!(svg, "<path class=\"g\" d=\"M{LEFT} {at:.1}H{right}\"/>");
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 6.0,
                at + 4.0
            );
        }
        for tick in self.x.ticks() {
            let (at, text) = (x(tick), label(tick));
            let _ = writeln!(svg, "<path class=\"g\" d=\"M{at:.1} {}V{bottom}\"/>", top + TOP);
            let _ = writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                bottom + 16.0
            );
        }
        self.name_axes(top, svg);
        for (nth, line) in self.lines.iter().enumerate() {
            let points: Vec<_> =
                line.points.iter().map(|(px, py)| format!("{:.1} {:.1}", x(*px), y(*py))).collect();
            let class = line.class(nth);
            let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{}\"/>", points.join("L"));
            let at = bottom + BOTTOM + LEGEND * nth as f64;
            let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{LEFT} {:.0}h24\"/>", at + 2.0);
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{:.0}\">{}</text>", LEFT + 32.0, at + 6.0, line.name);
        }
    }

    fn name_axes(&self, top: f64, svg: &mut String) {
        let (middle, side) = (top + TOP + HEIGHT / 2.0, 14.0);
        let (bottom, right) = (top + TOP + HEIGHT + 32.0, WIDTH - RIGHT);
        let _ =
            writeln!(svg, "<text x=\"{right}\" y=\"{bottom}\" text-anchor=\"end\">{}</text>", self.x.title);
        let _ = writeln!(
            svg,
            "<text transform=\"rotate(-90 {side} {middle})\" x=\"{side}\" y=\"{middle}\" text-anchor=\"middle\">{}</text>",
            self.y.title
        );
    }
}

fn label(value: f64) -> String {
    if value >= 1.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_drawn_at_the_edge() {
        let axis = Axis::logarithmic("s", 1.0, 100.0);
        assert!((axis.place(10.0) - 0.5).abs() < 1e-9);
        assert_eq!((axis.place(0.0), axis.place(1e9)), (0.0, 1.0));
        assert_eq!(axis.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        assert_eq!(Axis::linear("h", 0.0, 24.0, 8.0).ticks(), [0.0, 8.0, 16.0, 24.0]);
    }
}
