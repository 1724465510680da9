//! Whether firmware and hypervisor say that this machine is an EC2 instance, as cloud-init's ds-identify looks at them.
//! The host's owner can forge them: they only shorten a wait, and prove nothing.

use std::path::Path;

/// What the machine says of its maker. Absent, or empty, is what cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// Of Xen instances.
    hypervisor_uuid: String,
    /// Root alone can read it.
    product_uuid: String,
    sys_vendor: String,
    board_asset_tag: String,
}

/// What that comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    Ec2,
    /// In a few words, who it is instead.
    Other(String),
    /// A container, or an architecture without these files.
    Unknown,
}

impl Firmware {
    pub fn read() -> Firmware {
        let read = |path: &str| {
            let text = std::fs::read_to_string(Path::new(path)).unwrap_or_default();
            text.chars().filter(|c| !c.is_control()).take(64).collect::<String>().trim().to_owned()
        };
        Firmware {
            hypervisor_uuid: read("/sys/hypervisor/uuid"),
            product_uuid: read("/sys/class/dmi/id/product_uuid"),
            sys_vendor: read("/sys/class/dmi/id/sys_vendor"),
            board_asset_tag: read("/sys/class/dmi/id/board_asset_tag"),
        }
    }

    pub fn maker(&self) -> Maker {
        let is_ec2 = is_ec2_uuid(&self.hypervisor_uuid)
            || is_ec2_uuid(&self.product_uuid)
            || self.sys_vendor == "Amazon EC2"
            || self.board_asset_tag.starts_with("i-");
        if is_ec2 {
            return Maker::Ec2;
        }
        let said = [
            ("its vendor", &self.sys_vendor),
            ("the hypervisor's uuid", &self.hypervisor_uuid),
            ("the product's uuid", &self.product_uuid),
        ];
        match said.iter().find(|(_, value)| !value.is_empty()) {
            Some((what, value)) => Maker::Other(format!("{what} is {value}")),
            None => Maker::Unknown,
        }
    }
}

/// `ec2...`, also in the byte order of old firmware.
fn is_ec2_uuid(uuid: &str) -> bool {
    let uuid = uuid.to_ascii_lowercase();
    let swapped = uuid.get(4..8).is_some_and(|end| end.starts_with('2') && end.ends_with("ec"));
    uuid.starts_with("ec2") || swapped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(hypervisor: &str, product: &str, vendor: &str, asset: &str) -> Maker {
        let [hypervisor_uuid, product_uuid, sys_vendor, board_asset_tag] =
            [hypervisor, product, vendor, asset].map(str::to_owned);
        Firmware { hypervisor_uuid, product_uuid, sys_vendor, board_asset_tag }.maker()
    }

    #[test]
    fn instances_of_each_kind_are_known() {
        for (hypervisor, product, vendor, asset) in [
            ("", "ec2a1b2c-0000-4000-8000-000000000000", "Amazon EC2", "i-0123456789abcdef0"),
            ("", "", "Amazon EC2", ""),
            ("", "", "", "i-0123456789abcdef0"),
            ("ec2e1916-9099-7caf-fd21-012345abcdef", "", "Xen", ""),
            ("", "EC2E1916-9099-7CAF-FD21-012345ABCDEF", "Xen", ""),
            ("", "16192eec-9099-7caf-fd21-012345abcdef", "Xen", ""),
            ("ec2b007a-9e00-4000-8000-00b007a9e000", "4c4c4544-0036", "Dell Inc.", "Not Specified"),
        ] {
            assert_eq!(
                maker(hypervisor, product, vendor, asset),
                Maker::Ec2,
                "{hypervisor} {product} {vendor}"
            );
        }
    }

    #[test]
    fn other_machines_say_who_made_them() {
        let other = |maker: Maker| match maker {
            Maker::Other(said) => said,
            known => panic!("{known:?}"),
        };
        assert_eq!(other(maker("", "4c4c4544-0036", "LENOVO", "Not Available")), "its vendor is LENOVO");
        assert_eq!(other(maker("", "", "QEMU", "")), "its vendor is QEMU");
        assert_eq!(other(maker("", "4c4c4544-0036", "", "")), "the product's uuid is 4c4c4544-0036");
        assert_eq!(
            other(maker("00000000-0000-0000-0000-000000000000", "", "", "")),
            "the hypervisor's uuid is 00000000-0000-0000-0000-000000000000"
        );
        assert_eq!(other(maker("", "", "Google", "")), "its vendor is Google");
    }

    #[test]
    fn who_says_nothing_may_be_an_instance() {
        assert_eq!(maker("", "", "", ""), Maker::Unknown);
        assert_eq!(maker("", "", "", "Not Specified"), Maker::Unknown);
    }
}
