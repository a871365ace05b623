"""Settings of cloud identities."""

from __future__ import annotations

from modelyard.settings.section import Section


class AwsIdentitySettings(Section):
    """The token service of AWS, or of a server with the S3 API that has one."""

    audience: str = "sts.amazonaws.com"  # of tokens of ServiceAccounts
    sts_url: str = ""  # empty: that of the region
    region: str = "us-east-1"  # of buckets, unless the ServiceAccount has another one
    endpoint: str = ""  # URL of another server with the S3 API


class AzureIdentitySettings(Section):
    """The token service of Microsoft Entra."""

    audience: str = "api://AzureADTokenExchange"
    authority: str = "https://login.microsoftonline.com"
    endpoint: str = ""  # URL of another server with the API of Azure Storage


class GoogleIdentitySettings(Section):
    """The token service of Google Cloud."""

    audience: str = ""  # name of the workload identity provider; empty: not offered
    token_audience: str = ""  # of tokens of ServiceAccounts; empty: https: and `audience`
    sts_url: str = "https://sts.googleapis.com/v1/token"
    credentials_url: str = "https://iamcredentials.googleapis.com"
    endpoint: str = ""  # URL of another server with the API of Google Storage


class IdentitySettings(Section):
    """Cloud identities of ServiceAccounts for downloads (serviceAccountName)."""

    enabled: bool = False  # needs the right to create tokens of ServiceAccounts
    aws: AwsIdentitySettings = AwsIdentitySettings()
    azure: AzureIdentitySettings = AzureIdentitySettings()
    google: GoogleIdentitySettings = GoogleIdentitySettings()
