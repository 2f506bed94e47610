"""Call the CloudDC API of Huawei Cloud: client, server list, errors and authentication."""
