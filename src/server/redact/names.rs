//! Names whose values are secret: of JSON members, of `name=value` in a text, of
//! log keys.

/// Built in. A name that ends with one of these counts too (`client_secret`,
/// `db-password`, `xApiKey`), and case and separators do not matter.
const BUILT_IN: [&str; 18] = [
    "accesskey",
    "apikey",
    "authorization",
    "bearer",
    "clientassertion",
    "cookie",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
    "secretkey",
    "sessionid",
    "token",
    "tokens",
];

/// Names that end so and are not secret.
const HARMLESS: [&str; 6] =
    ["inputtokens", "outputtokens", "completiontokens", "prompttokens", "totaltokens", "maxtokens"];

/// Longer names are not looked at: the longest that a rule can have.
pub(super) const LONGEST: usize = 100;

pub(super) struct Names {
    /// Normalized.
    endings: Vec<String>,
}

impl Names {
    pub(super) fn with(more: &[String]) -> Self {
        let more = more.iter().map(|name| normalized(name)).filter(|name| !name.is_empty());
        Self { endings: BUILT_IN.map(str::to_owned).into_iter().chain(more).collect() }
    }

    /// Whether values of this name are secret.
    pub(super) fn contain(&self, name: &str) -> bool {
        if name.len() > LONGEST {
            // Its end is what counts. (Cut between characters.)
            let start = (name.len() - LONGEST..name.len()).find(|at| name.is_char_boundary(*at));
            return start.is_some_and(|start| self.contain(&name[start..]));
        }
        let mut letters = [0; LONGEST];
        let mut count = 0;
        for byte in name.bytes().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()) {
            letters[count] = byte.to_ascii_lowercase();
            count += 1;
        }
        let name = &letters[..count];
        self.endings.iter().any(|ending| name.ends_with(ending.as_bytes()))
            && !HARMLESS.iter().any(|harmless| name.ends_with(harmless.as_bytes()))
    }
}

/// In lower case, without separators.
fn normalized(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).map(|letter| letter.to_ascii_lowercase()).collect()
}
