def test_w(world, tmp_path):
    import time
    t=time.time()
    r=world.run("--methods","all","--out",str(tmp_path/"o"),"--report",str(tmp_path/"r.html"),"--workers","1")
    print(r.status, time.time()-t); print(r.out); print(r.err)
    t=time.time()
    r=world.run("--methods","all","--out",str(tmp_path/"o"),"--report",str(tmp_path/"r.html"),"--workers","1")
    print(r.status, time.time()-t);
    print((tmp_path/"o"/"results.csv").read_text()[:1500]); print((tmp_path/"o"/"runs.csv").read_text()[:9000])
