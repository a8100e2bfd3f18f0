"""Mesos: what deploys R-Cluster on it, and a small one to develop against."""
