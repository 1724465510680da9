//! What a distribution calls a package. Debian's names are those of manifests, remedies and recipes; a distribution with
//! RPM packages has others. A name that the table does not have is the same everywhere, or the machine's own. Pure.

use crate::facts::{Family, Machine};

struct Row {
    debian: &'static str,
    rhel: &'static [&'static str],
    amazon: &'static [&'static str],
}

const fn both(debian: &'static str, names: &'static [&'static str]) -> Row {
    Row { debian, rhel: names, amazon: names }
}

const TABLE: &[Row] = &[
    both("build-essential", &["gcc", "gcc-c++", "make"]),
    both("default-jre-headless", &["java-headless"]),
    both("default-libmysqlclient-dev", &["mariadb-connector-c-devel"]),
    Row { debian: "default-mysql-client", rhel: &["mariadb"], amazon: &["mariadb105"] },
    Row { debian: "docker.io", rhel: &["docker-ce"], amazon: &["docker"] },
    both("g++", &["gcc-c++"]),
    both("golang-go", &["golang"]),
    both("imagemagick", &["ImageMagick"]),
    both("libaio1", &["libaio"]),
    both("libasound2", &["alsa-lib"]),
    both("libatk-bridge2.0-0", &["at-spi2-atk"]),
    both("libatk1.0-0", &["atk"]),
    both("libatomic1", &["libatomic"]),
    both("libc6-dev", &["glibc-devel"]),
    both("libcairo2", &["cairo"]),
    both("libcairo2-dev", &["cairo-devel"]),
    both("libcups2", &["cups-libs"]),
    both("libcurl4", &["libcurl"]),
    both("libdrm2", &["libdrm"]),
    both("libffi-dev", &["libffi-devel"]),
    both("libgbm1", &["mesa-libgbm"]),
    both("libgif7", &["giflib"]),
    both("libgl1", &["libglvnd-glx"]),
    both("libglib2.0-0", &["glib2"]),
    both("libgomp1", &["libgomp"]),
    both("libjpeg-dev", &["libjpeg-turbo-devel"]),
    both("libjpeg62-turbo", &["libjpeg-turbo"]),
    both("libldap-dev", &["openldap-devel"]),
    both("libmagic1", &["file-libs"]),
    both("libnspr4", &["nspr"]),
    both("libnss3", &["nss"]),
    both("libodbc2", &["unixODBC"]),
    both("libpango-1.0-0", &["pango"]),
    both("libpangocairo-1.0-0", &["pango"]),
    both("libpixman-1-0", &["pixman"]),
    both("libpq-dev", &["libpq-devel"]),
    both("libpq5", &["libpq"]),
    both("librsvg2-2", &["librsvg2"]),
    both("libsqlite3-0", &["sqlite-libs"]),
    both("libssl-dev", &["openssl-devel"]),
    both("libssl3", &["openssl-libs"]),
    both("libusb-1.0-0", &["libusbx"]),
    both("libvips42", &["vips"]),
    both("libx11-6", &["libX11"]),
    both("libxcomposite1", &["libXcomposite"]),
    both("libxdamage1", &["libXdamage"]),
    both("libxfixes3", &["libXfixes"]),
    both("libxkbcommon0", &["libxkbcommon"]),
    both("libxml2-dev", &["libxml2-devel"]),
    both("libxrandr2", &["libXrandr"]),
    both("libxslt1-dev", &["libxslt-devel"]),
    both("libzmq5", &["zeromq"]),
    both("openssh-client", &["openssh-clients"]),
    both("pkg-config", &["pkgconf-pkg-config"]),
    Row { debian: "postgresql", rhel: &["postgresql-server"], amazon: &["postgresql15-server"] },
    Row { debian: "postgresql-client", rhel: &["postgresql"], amazon: &["postgresql15"] },
    both("python3-dev", &["python3-devel"]),
    both("python3-venv", &["python3"]),
    Row { debian: "redis-server", rhel: &["redis"], amazon: &["redis6"] },
    Row { debian: "redis-tools", rhel: &["redis"], amazon: &["redis6"] },
    both("sqlite3", &["sqlite"]),
    both("xz-utils", &["xz"]),
    both("zlib1g-dev", &["zlib-devel"]),
];

/// The package or packages of this machine for one of Debian's; the same name if the table has no other.
fn of(machine: &Machine, debian: &str) -> Vec<String> {
    let family = match machine.family() {
        Some(family @ (Family::Amazon | Family::Rhel)) => family,
        Some(Family::Debian) | None => return vec![debian.to_owned()],
    };
    if let Some(row) = TABLE.iter().find(|row| row.debian == debian) {
        let names = if family == Family::Amazon { row.amazon } else { row.rhel };
        return names.iter().map(|name| (*name).to_owned()).collect();
    }
    let line = |front: &str, back: &str| {
        let line = debian.strip_prefix(front)?.strip_suffix(back)?;
        let is_line = line.bytes().all(|c| c.is_ascii_digit() || c == b'.') && !line.is_empty();
        is_line.then_some(line)
    };
    let name = match (line("python", "-dev"), line("python", "-venv"), line("postgresql-", "")) {
        (Some(line), ..) => format!("python{line}-devel"),
        // Its virtual environments are in the package itself.
        (_, Some(line), _) => format!("python{line}"),
        (.., Some(line)) => format!("postgresql{line}-server"),
        _ => debian.to_owned(),
    };
    vec![name]
}

/// Each of them once, as this machine's distribution calls it.
pub fn here(machine: &Machine, debian: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in debian.iter().flat_map(|name| of(machine, name)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::words::{compilers, missing};

    fn names(os: &str, version: &str, debian: &[&str]) -> Vec<String> {
        let machine = Machine { os: os.to_owned(), version: version.to_owned(), ..Machine::default() };
        here(&machine, &debian.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn amazon_linux_and_rhel_have_names_of_their_own() {
        let all = ["libpq5", "g++", "redis-server", "postgresql", "docker.io", "nginx"];
        let amazon = ["libpq", "gcc-c++", "redis6", "postgresql15-server", "docker", "nginx"];
        assert_eq!(names("amzn", "2023", &all), amazon);
        let rhel = ["libpq", "gcc-c++", "redis", "postgresql-server", "docker-ce", "nginx"];
        assert_eq!(names("rhel", "9.4", &all), rhel);
        assert_eq!(names("debian", "12", &all), all);
        assert_eq!(names("alpine", "3", &all), all);
    }

    #[test]
    fn versions_are_part_of_some_names() {
        let all =
            ["python3.12-dev", "python3.11-venv", "postgresql-16", "postgresql-client-16", "python-dev"];
        let own =
            ["python3.12-devel", "python3.11", "postgresql16-server", "postgresql-client-16", "python-dev"];
        assert_eq!(names("amzn", "2023", &all), own);
    }

    #[test]
    fn one_package_may_be_several_and_none_is_named_twice() {
        assert_eq!(names("rhel", "9", &["build-essential", "g++", "gcc"]), ["gcc", "gcc-c++", "make"]);
        assert_eq!(names("rhel", "9", &["libpango-1.0-0", "libpangocairo-1.0-0"]), ["pango"]);
    }

    #[test]
    fn every_package_that_a_remedy_names_is_known_by_its_other_name() {
        let same = ["libxml2"];
        let all = compilers::known_packages().chain(missing::known_packages());
        for name in all.filter(|name| !same.contains(name)) {
            let is_of_debian = name.ends_with("-dev")
                || name.starts_with("lib") && name.ends_with(|c: char| c.is_ascii_digit());
            assert!(!is_of_debian || TABLE.iter().any(|row| row.debian == name), "{name}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_names_each_once() {
        assert!(TABLE.windows(2).all(|pair| pair[0].debian < pair[1].debian));
    }
}
