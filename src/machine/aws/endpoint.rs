//! Host names of AWS's APIs: by region, and as the policy wants them (FIPS, dual-stack). The SDK has a table of its own for
//! Secrets Manager; this one is for the calls that `call` signs.

use aws_config::SdkConfig;

/// A group of regions with domains of its own.
struct Partition {
    /// How the names of its regions begin.
    regions: &'static str,
    domain: &'static str,
    /// The domain of endpoints that IPv6 reaches, too.
    dual_stack: &'static str,
}

/// As in botocore's `partitions.json`. A region of no row is of the last.
const PARTITIONS: &[Partition] = &[
    Partition { regions: "cn-", domain: "amazonaws.com.cn", dual_stack: "api.amazonwebservices.com.cn" },
    Partition { regions: "us-gov-", domain: "amazonaws.com", dual_stack: "api.aws" },
    Partition { regions: "us-isob-", domain: "sc2s.sgov.gov", dual_stack: "api.aws.scloud" },
    Partition { regions: "us-isof-", domain: "csp.hci.ic.gov", dual_stack: "api.aws.hci.ic.gov" },
    Partition { regions: "us-iso-", domain: "c2s.ic.gov", dual_stack: "api.aws.ic.gov" },
    Partition { regions: "eu-isoe-", domain: "cloud.adc-e.uk", dual_stack: "api.cloud-aws.adc-e.uk" },
    Partition { regions: "eusc-", domain: "amazonaws.eu", dual_stack: "api.amazonwebservices.eu" },
    Partition { regions: "", domain: "amazonaws.com", dual_stack: "api.aws" },
];

/// In GovCloud, the usual endpoints of these services are FIPS endpoints.
const ALWAYS_FIPS_IN_GOV: &[&str] = &["autoscaling", "ssm"];

/// The host name of a service in the configuration's region.
pub fn of(config: &SdkConfig, service: &str) -> String {
    let region = config.region().map(|region| region.as_ref()).unwrap_or_default();
    host(service, region, config.use_fips() == Some(true), config.use_dual_stack() == Some(true))
}

pub fn host(service: &str, region: &str, fips: bool, dual_stack: bool) -> String {
    let partition = PARTITIONS.iter().find(|partition| region.starts_with(partition.regions));
    let (domain, dual) =
        partition.map_or(("amazonaws.com", "api.aws"), |found| (found.domain, found.dual_stack));
    let is_fips_already =
        region.starts_with("us-gov-") && ALWAYS_FIPS_IN_GOV.contains(&service) && !dual_stack;
    // ECR's API has a prefix, and no FIPS or dual-stack endpoint with it.
    let prefix = if service == "ecr" && !fips && !dual_stack { "api." } else { "" };
    let suffix = if fips && !is_fips_already { "-fips" } else { "" };
    let domain = if dual_stack { dual } else { domain };
    format!("{prefix}{service}{suffix}.{region}.{domain}")
}

/// The host name of a bucket, and the path before the key. A bucket with a dot in its name has no certificate of its own:
/// it is part of the path.
pub fn bucket(config: &SdkConfig, bucket: &str, region: &str) -> (String, String) {
    bucket_host(bucket, region, config.use_fips() == Some(true), config.use_dual_stack() == Some(true))
}

/// S3 keeps its domain at dual-stack endpoints, and has a label for them.
fn bucket_host(bucket: &str, region: &str, fips: bool, dual_stack: bool) -> (String, String) {
    let partition = PARTITIONS.iter().find(|partition| region.starts_with(partition.regions));
    let domain = partition.map_or("amazonaws.com", |found| found.domain);
    let (suffix, label) = (if fips { "-fips" } else { "" }, if dual_stack { ".dualstack" } else { "" });
    let host = format!("s3{suffix}{label}.{region}.{domain}");
    match bucket.contains('.') {
        true => (host, format!("/{bucket}")),
        false => (format!("{bucket}.{host}"), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_domain() {
        for (region, domain) in [
            ("eu-west-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
            ("eusc-de-east-1", "amazonaws.eu"),
            ("xx-new-1", "amazonaws.com"),
        ] {
            assert_eq!(host("ssm", region, false, false), format!("ssm.{region}.{domain}"));
        }
    }

    #[test]
    fn a_bucket_is_a_host_of_its_own_unless_its_name_has_a_dot() {
        for (bucket, region, fips, dual_stack, host, path) in [
            ("fleet", "eu-west-1", false, false, "fleet.s3.eu-west-1.amazonaws.com", ""),
            ("a.fleet", "eu-west-1", false, false, "s3.eu-west-1.amazonaws.com", "/a.fleet"),
            ("fleet", "us-east-1", true, false, "fleet.s3-fips.us-east-1.amazonaws.com", ""),
            ("fleet", "us-east-1", false, true, "fleet.s3.dualstack.us-east-1.amazonaws.com", ""),
            ("fleet", "us-gov-west-1", true, true, "fleet.s3-fips.dualstack.us-gov-west-1.amazonaws.com", ""),
            ("fleet", "cn-north-1", false, true, "fleet.s3.dualstack.cn-north-1.amazonaws.com.cn", ""),
        ] {
            let expected = (host.to_owned(), path.to_owned());
            assert_eq!(bucket_host(bucket, region, fips, dual_stack), expected);
        }
    }

    #[test]
    fn fips_and_dual_stack_endpoints_have_their_own_names() {
        assert_eq!(host("ecr", "eu-west-1", false, false), "api.ecr.eu-west-1.amazonaws.com");
        assert_eq!(host("ecr", "us-east-1", true, false), "ecr-fips.us-east-1.amazonaws.com");
        assert_eq!(host("ecr", "us-east-1", false, true), "ecr.us-east-1.api.aws");
        for (region, fips, dual_stack, expected) in [
            ("us-east-1", true, false, "ssm-fips.us-east-1.amazonaws.com"),
            ("us-east-1", false, true, "ssm.us-east-1.api.aws"),
            ("us-east-1", true, true, "ssm-fips.us-east-1.api.aws"),
            ("us-gov-west-1", true, false, "ssm.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, true, "ssm-fips.us-gov-west-1.api.aws"),
            ("cn-north-1", false, true, "ssm.cn-north-1.api.amazonwebservices.com.cn"),
        ] {
            assert_eq!(host("ssm", region, fips, dual_stack), expected);
        }
    }
}
