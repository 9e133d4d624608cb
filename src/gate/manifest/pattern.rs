//! What a pattern stands for.

/// True where a pattern stands for a name or for something that the name is a part of.
///
/// `*` stands for any letters, `?` for one; a name has parts, which end at `:`, and at the `+`
/// between its two dtypes.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let third = (0..name.len()).filter(|&at| name[at] == ':').nth(2);
    let ends = |at: usize| match name.get(at) {
        None | Some(':') => true,
        Some('+') => third.is_none_or(|third| at < third),
        Some(_) => false,
    };
    glob(&pattern, &name, ends)
}

/// True where a pattern matches a name up to one of its ends.
///
/// It matches greedily, and comes back to the last `*` where that fails: the time is at most that
/// of every letter of the pattern at every place of the name, without recursion.
fn glob(pattern: &[char], name: &[char], ends: impl Fn(usize) -> bool) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), name.get(n)) {
            (None, _) if ends(n) => return true,
            (Some('*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some(wanted), Some(letter)) if *wanted == '?' || wanted == letter => {
                p += 1;
                n += 1;
            }
            // Where the name is over, so it is wherever else the `*` may end.
            (Some(_), None) => return false,
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
        }
    }
}
