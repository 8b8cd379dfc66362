"""What each network is: configuration, modules, weight rules, costs. One folder a family."""
