//! A small charting module: axes, lines, points and a legend, rendered as self-contained SVG.
//!
//! Colours are CSS variables, so that an embedded chart follows the report's theme; a standalone chart carries both themes. The eight colours
//! are distinguishable with colour blindness (Okabe and Ito 2008, darkened for contrast on white), and series also differ
//! in dash and marker.

use std::fmt::Write;

use super::format::escape;

/// The CSS variables, light and dark.
pub(super) const PALETTE: &str = "\
:root{--ink:#1c2024;--soft:#5b636b;--line:#d9dde1;--paper:#fff;--s0:#0067a8;--s1:#c44e00;--s2:#00805c;--s3:#a8438a;--s4:#8a6d00;--s5:#3d7fb5;--s6:#6b4fb3;--s7:#555}\
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a0a7ae;--line:#3a4047;--paper:#15181b;--s0:#5ab4f0;--s1:#f5914d;--s2:#3fc79a;--s3:#e094c8;--s4:#e5c94b;--s5:#9cc9ec;--s6:#b3a0f0;--s7:#bbb}}";

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 48.0;
const DASHES: [&str; 4] = ["none", "7 3", "2 3", "9 3 2 3"];

/// An axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Its label, with the unit.
    pub label: String,
    /// Its lower end.
    pub from: f64,
    /// Its upper end.
    pub to: f64,
    /// The ticks and their labels.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis from zero to at least `highest`, with round ticks.
    pub fn from_zero(label: impl Into<String>, highest: f64) -> Self {
        Self::between(label, 0.0, highest)
    }

    /// An axis that contains both values, with round ticks.
    pub fn between(label: impl Into<String>, lowest: f64, highest: f64) -> Self {
        let span = if highest > lowest {
            highest - lowest
        } else {
            lowest.abs().max(1.0)
        };
        let highest = if highest > lowest { highest } else { lowest + span };
        let step = round_step(span / 5.0);
        let from = (lowest / step).floor() * step;
        let to = (highest / step).ceil() * step;
        let decimals = if step >= 1.0 { 0 } else { step_decimals(step) };
        let ticks = (0..=20u32)
            .map(|i| from + f64::from(i) * step)
            .take_while(|t| *t <= to + step / 2.0);
        Self {
            label: label.into(),
            ticks: ticks.map(|t| (t, format!("{t:.decimals$}"))).collect(),
            from,
            to,
        }
    }

    /// An axis with exactly these ends, with round ticks inside.
    pub fn exactly(label: impl Into<String>, from: f64, to: f64) -> Self {
        let round = Self::between(label, from, to);
        if from >= to {
            return round;
        }
        let ticks = round
            .ticks
            .into_iter()
            .filter(|(at, _)| (from..=to).contains(at))
            .collect();
        Self {
            from,
            to,
            ticks,
            ..round
        }
    }

    fn share(&self, value: f64) -> f64 {
        ((value - self.from) / (self.to - self.from)).clamp(-0.02, 1.02)
    }
}

/// The smallest 1, 2 or 5 times a power of ten that is not below `min_step`.
fn round_step(min_step: f64) -> f64 {
    let power = 10f64.powf(min_step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .iter()
        .map(|m| m * power)
        .find(|s| *s >= min_step * 0.999)
        .unwrap_or(min_step)
}

/// The number of decimals of a step below one.
fn step_decimals(step: f64) -> usize {
    (0..9)
        .find(|&d| (step * 10f64.powi(d)).fract().abs() < 1e-6)
        .map_or(9, |d| usize::try_from(d).unwrap_or(0))
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    title: String,
    x: Axis,
    y: Axis,
    body: String,
    legend: Vec<(usize, String)>,
}

impl Chart {
    /// An empty chart.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            x,
            y,
            body: String::new(),
            legend: Vec::new(),
        }
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let right = LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT);
        let down = HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM);
        (right, down)
    }

    /// Adds a series to the legend.
    pub fn name(&mut self, series: usize, name: &str) {
        self.legend.push((series, name.to_owned()));
    }

    /// A line through points; `faint` if it is one of many.
    pub fn line(&mut self, series: usize, points: &[(f64, f64)], faint: bool) {
        let mut path = String::new();
        for (i, &(x, y)) in points.iter().enumerate() {
            let (x, y) = self.place(x, y);
            let _ = write!(path, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
        }
        let dash = DASHES[series % DASHES.len()];
        let (width, opacity) = if faint { (1.2, 0.55) } else { (2.0, 1.0) };
        let _ = writeln!(
            self.body,
            r#"<path d="{path}" fill="none" stroke="var(--s{})" stroke-width="{width}" stroke-opacity="{opacity}" stroke-dasharray="{dash}" stroke-linejoin="round"/>"#,
            series % 8
        );
    }

    /// A marker with a tooltip.
    pub fn point(&mut self, series: usize, x: f64, y: f64, note: &str) {
        let (x, y) = self.place(x, y);
        let shape = marker(series, x, y, 3.6);
        let _ = writeln!(
            self.body,
            r#"<g fill="var(--s{})" fill-opacity="0.72">{shape}<title>{}</title></g>"#,
            series % 8,
            escape(note)
        );
    }

    /// A horizontal line at `middle` with a band behind it: a median and its confidence interval.
    pub fn band(&mut self, series: usize, across: (f64, f64), middle: f64, ends: Option<(f64, f64)>) {
        let (left, y) = self.place(across.0, middle);
        let right = self.place(across.1, middle).0;
        let color = series % 8;
        if let Some((low, high)) = ends {
            let (bottom, top) = (self.place(across.0, low).1, self.place(across.0, high).1);
            let _ = writeln!(
                self.body,
                r#"<rect x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="var(--s{color})" fill-opacity="0.2"/>"#,
                right - left,
                (bottom - top).max(1.0)
            );
        }
        let _ = writeln!(
            self.body,
            r#"<path d="M{left:.1} {y:.1}H{right:.1}" stroke="var(--s{color})" stroke-width="2.4"/>"#
        );
    }

    /// Shades an interval of x.
    pub fn shade(&mut self, from: f64, to: f64) {
        let ((left, top), (right, bottom)) = (self.place(from, self.y.to), self.place(to, self.y.from));
        let _ = writeln!(
            self.body,
            r#"<rect x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" fill="var(--soft)" fill-opacity="0.09"/>"#,
            right - left,
            bottom - top
        );
    }

    /// The SVG element; `style` is inserted for a standalone file.
    pub fn render(&self, style: &str) -> String {
        let title = escape(&self.title);
        let mut svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}" font-family="system-ui,sans-serif" font-size="12" fill="var(--ink)">"#
        );
        let _ = writeln!(svg, "\n<title>{title}</title>{style}");
        self.grid(&mut svg);
        svg.push_str(&self.body);
        self.names(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    /// Grid, tick labels and axis labels.
    fn grid(&self, svg: &mut String) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, text) in &self.y.ticks {
            let y = self.place(self.x.from, *value).1;
            let _ = writeln!(
                svg,
                r#"<path d="M{LEFT} {y:.1}H{right}" stroke="var(--line)"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="var(--soft)">{}</text>"#,
                LEFT - 8.0,
                y + 4.0,
                escape(text)
            );
        }
        for (value, text) in &self.x.ticks {
            let x = self.place(*value, self.y.from).0;
            let _ = writeln!(
                svg,
                r#"<path d="M{x:.1} {bottom}v4" stroke="var(--soft)"/><text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="var(--soft)">{}</text>"#,
                bottom + 18.0,
                escape(text)
            );
        }
        let (middle_x, middle_y) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
        let _ = writeln!(svg, r#"<path d="M{LEFT} {bottom}H{right}" stroke="var(--soft)"/>"#);
        let _ = writeln!(
            svg,
            r#"<text x="{middle_x}" y="{:.1}" text-anchor="middle">{}</text>"#,
            HEIGHT - 10.0,
            escape(&self.x.label)
        );
        let _ = writeln!(
            svg,
            r#"<text transform="translate(14 {middle_y}) rotate(-90)" text-anchor="middle">{}</text>"#,
            escape(&self.y.label)
        );
    }

    /// The legend above the chart.
    fn names(&self, svg: &mut String) {
        let mut x = LEFT;
        for (series, name) in &self.legend {
            let (color, dash) = (series % 8, DASHES[series % DASHES.len()]);
            let shape = marker(*series, x + 12.0, 14.0, 3.6);
            let _ = writeln!(
                svg,
                r#"<path d="M{x} 14h24" stroke="var(--s{color})" stroke-width="2" stroke-dasharray="{dash}"/><g fill="var(--s{color})">{shape}</g><text x="{}" y="18">{}</text>"#,
                x + 30.0,
                escape(name)
            );
            x += 30.0 + name.chars().count() as f64 * 7.0 + 22.0;
        }
    }
}

/// The marker of a series at a position.
fn marker(series: usize, x: f64, y: f64, r: f64) -> String {
    match series % 4 {
        0 => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{r}"/>"#),
        1 => format!(
            r#"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}"/>"#,
            x - r,
            y - r,
            2.0 * r,
            2.0 * r
        ),
        2 => format!(
            r#"<path d="M{x:.1} {:.1}l{:.1} {:.1}h{:.1}z"/>"#,
            y - r * 1.2,
            r * 1.2,
            r * 2.1,
            -r * 2.4
        ),
        _ => format!(
            r#"<path d="M{x:.1} {:.1}l{:.1} {:.1}l{:.1} {:.1}l{:.1} {:.1}z"/>"#,
            y - r * 1.4,
            r * 1.4,
            r * 1.4,
            -r * 1.4,
            r * 1.4,
            -r * 1.4,
            -r * 1.4
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks_and_contain_the_values() {
        for (low, high) in [
            (0.0, 0.37),
            (0.0, 1.0),
            (0.0, 97.0),
            (12.0, 13.1),
            (0.0, 0.0),
            (5.0, 5.0),
            (0.0, 123_456.0),
        ] {
            let axis = Axis::between("x", low, high);
            assert!(axis.from <= low && high <= axis.to, "{axis:?}");
            assert!((3..=13).contains(&axis.ticks.len()), "{axis:?}");
        }
        let texts: Vec<_> = Axis::from_zero("x", 0.37).ticks.into_iter().map(|t| t.1).collect();
        assert_eq!(texts, ["0.0", "0.1", "0.2", "0.3", "0.4"]);
    }

    #[test]
    fn names_are_escaped() {
        let mut chart = Chart::new("<t>", Axis::from_zero("x", 1.0), Axis::from_zero("y", 1.0));
        chart.name(0, "</text><script>");
        chart.point(0, 0.5, 0.5, "a<b");
        let svg = chart.render("");
        assert!(!svg.contains("<script>") && svg.contains("a&lt;b"));
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }
}
