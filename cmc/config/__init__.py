"""The schema of conf/, its checks and their messages. Light: what is imported here leaves torch alone."""
