import os, subprocess, pytest
def test_x(docker_lab):
    a = docker_lab.attempt(["/bin/sh","-c","id"])
    try: a.launch()
    except Exception as e: print(repr(e))
    os.system(f"docker inspect {a.handle} > /tmp/rb-backends/insp.json; ls -la {a.folder} {a.folder.parent} {a.folder.parent.parent} /tmp/contract*; id; grep Cap /proc/self/status; docker start {a.handle}; docker inspect -f '{{{{.State}}}}' {a.handle}")
    assert 0
