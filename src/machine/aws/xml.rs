//! Reads the XML of AWS's answers as a tree. Attributes, comments and CDATA are not used there.

use super::query::unescaped;

/// No answer of AWS is deeper. A deeper one is not read.
const DEEPEST: usize = 32;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Node {
    name: String,
    text: String,
    children: Vec<Node>,
}

impl Node {
    /// The root element; `None` if the text is not XML.
    pub fn parse(text: &str) -> Option<Node> {
        let mut open: Vec<Node> = vec![Node::default()];
        let mut rest = text;
        while let Some((before, from)) = rest.split_once('<') {
            let (tag, after) = from.split_once('>')?;
            open.last_mut()?.text.push_str(before);
            rest = after;
            if tag.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                let node = open.pop().filter(|node| node.name == name.trim())?;
                open.last_mut()?.children.push(node);
                continue;
            }
            let name = tag.trim_end_matches('/').split_whitespace().next()?.to_owned();
            let node = Node { name, ..Node::default() };
            match tag.ends_with('/') {
                true => open.last_mut()?.children.push(node),
                false if open.len() < DEEPEST => open.push(node),
                false => return None,
            }
        }
        match (open.len(), open.pop()?.children.pop()) {
            (1, root) => root,
            _ => None,
        }
    }

    /// The first element with this path below this one.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| node.children.iter().find(|child| child.name == *name))
    }

    /// The text of the element with this name; empty if there is none.
    pub fn text(&self, name: &str) -> String {
        self.at(&[name]).map(Node::own_text).unwrap_or_default()
    }

    pub fn own_text(&self) -> String {
        unescaped(self.text.trim())
    }

    /// All elements of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The members of the list with this path.
    pub fn members<'a>(&'a self, path: &[&str]) -> Vec<&'a Node> {
        self.at(path).map(|list| list.all("member").collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: &str = r#"<?xml version="1.0"?><R xmlns="x"><Result><Groups><member><Name>a &amp; b</Name>
        <Instances><member><Id>i-1</Id></member><member><Id>i-2</Id></member></Instances><Tags/></member></Groups></Result></R>"#;

    #[test]
    fn elements_are_found_by_their_path() {
        let root = Node::parse(GROUPS).unwrap();
        let groups = root.members(&["Result", "Groups"]);
        assert_eq!((groups.len(), groups[0].text("Name").as_str()), (1, "a & b"));
        let ids: Vec<String> = groups[0].members(&["Instances"]).iter().map(|node| node.text("Id")).collect();
        assert_eq!(ids, ["i-1", "i-2"]);
        assert_eq!(groups[0].members(&["Tags"]).len(), 0);
        assert_eq!(groups[0].text("Nothing"), "");
    }

    #[test]
    fn what_is_not_a_tree_is_not_read() {
        for text in ["", "text", "<a>", "<a></b>", "</a>", "<a", "<a><b></a></b>", &"<a>".repeat(100)] {
            assert_eq!(Node::parse(text), None, "{text}");
        }
    }
}
