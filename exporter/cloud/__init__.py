"""The door to Huawei Cloud: one client, its logins, its pace and its connections."""
