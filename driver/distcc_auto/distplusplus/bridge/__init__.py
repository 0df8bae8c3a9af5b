"""The bridge: stock distcc clients on one side, distplusplus servers on the other. The driver runs it beside a build."""
