"""The bridge from stock distcc clients to distplusplus servers; the driver runs it beside a build."""
