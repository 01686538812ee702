//! A plain table, for HTML and for Markdown.

use std::fmt::Write;

use super::format::escape;

/// A table with a title. Every row has as many cells as the head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// What stands above it.
    pub title: String,
    /// How to read it.
    pub note: String,
    /// The head of each column; the first is that of the rows' names.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// For the page.
    pub fn html(&self) -> String {
        let mut html = format!("<h3>{}</h3>\n", escape(&self.title));
        if !self.note.is_empty() {
            let _ = writeln!(html, "<p class=\"sub\">{}</p>", escape(&self.note));
        }
        html.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
        for head in &self.head {
            let _ = write!(html, "<th>{}</th>", escape(head));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            html.push_str("<tr>");
            for cell in row {
                let _ = write!(html, "<td>{}</td>", escape(cell));
            }
            html.push_str("</tr>\n");
        }
        html.push_str("</tbody></table></div>\n");
        html
    }

    /// For `report.md`; `plain` takes away what would be read as markup.
    pub fn markdown(&self, plain: impl Fn(&str) -> String) -> String {
        let mut text = format!("\n### {}\n\n", plain(&self.title));
        if !self.note.is_empty() {
            let _ = writeln!(text, "{}\n", plain(&self.note));
        }
        let line = |cells: &[String]| {
            let cells: Vec<_> = cells.iter().map(|cell| plain(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        text.push_str(&line(&self.head));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(self.head.len().saturating_sub(1)));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_every_cell() {
        let table = Table {
            title: "By <service>".into(),
            note: String::new(),
            head: vec!["service".into(), "CPU".into()],
            rows: vec![vec!["web & co".into(), "1.5".into()]],
        };
        let html = table.html();
        assert!(html.contains("<h3>By &lt;service&gt;</h3>") && html.contains("<td>web &amp; co</td><td>1.5</td>"));
        let text = table.markdown(str::to_owned);
        assert!(
            text.ends_with("| service | CPU |\n|---|---:|\n| web & co | 1.5 |\n"),
            "{text}"
        );
    }
}
