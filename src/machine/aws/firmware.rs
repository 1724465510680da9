//! Whether firmware and hypervisor describe this machine as an EC2 instance; the same checks as cloud-init's
//! ds-identify. The owner of the host can forge them: they may only shorten a wait, and nothing is allowed because of
//! them.

use std::path::Path;

/// What firmware and hypervisor say about the machine. A field that cannot be read is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// Xen instances only.
    hypervisor_uuid: String,
    /// Only root can read it.
    product_uuid: String,
    sys_vendor: String,
    board_asset_tag: String,
}

/// The conclusion from `Firmware`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    Ec2,
    /// Not EC2. The text is what says so: `its vendor is QEMU`.
    Other(String),
    /// No field can be read: a container, or an architecture without these files.
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
        let evidence = [
            ("its vendor", &self.sys_vendor),
            ("the hypervisor's uuid", &self.hypervisor_uuid),
            ("the product's uuid", &self.product_uuid),
        ];
        match evidence.iter().find(|(_, value)| !value.is_empty()) {
            Some((what, value)) => Maker::Other(format!("{what} is {value}")),
            None => Maker::Unknown,
        }
    }
}

/// EC2's UUIDs begin with `ec2`; old firmware prints the first bytes in reverse order.
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
    fn ec2_instances_are_recognized() {
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
    fn other_machines_are_named_by_vendor_or_uuid() {
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
    fn a_machine_without_firmware_fields_may_be_an_instance() {
        assert_eq!(maker("", "", "", ""), Maker::Unknown);
        assert_eq!(maker("", "", "", "Not Specified"), Maker::Unknown);
    }
}
