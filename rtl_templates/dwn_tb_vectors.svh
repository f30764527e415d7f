    // The vectors, each with a bit above it that is 1 until a line of the file is read.
    reg [DWN_X_BITS:0] x_vectors [0:DWN_VECTORS*DWN_TRANSFERS-1];
    reg [DWN_Y_BITS:0] y_vectors [0:DWN_VECTORS-1];
    reg [8*1024-1:0] folder;
    integer count, entry, compared = 0, faults = 0;
    reg loaded = 0;

    initial begin
        if (!$value$plusargs("vectors=%s", folder)) folder = "../vectors";
        if (!$value$plusargs("count=%d", count)) count = DWN_VECTORS;
        for (entry = 0; entry < DWN_VECTORS * DWN_TRANSFERS; entry = entry + 1) x_vectors[entry] = {1'b1, {DWN_X_BITS{1'b0}}};
        for (entry = 0; entry < DWN_VECTORS; entry = entry + 1) y_vectors[entry] = {1'b1, {DWN_Y_BITS{1'b0}}};
        $readmemh({folder, "/x.hex"}, x_vectors);
        $readmemh({folder, "/y.hex"}, y_vectors);
        if (count < 1 || count > DWN_VECTORS) $fatal(1, "FAIL: +count=%0d, of %0d vectors", count, DWN_VECTORS);
        for (entry = 0; entry < count * DWN_TRANSFERS; entry = entry + 1)
            if (x_vectors[entry][DWN_X_BITS] !== 1'b0 || ^x_vectors[entry] === 1'bx)
                $fatal(1, "FAIL: line %0d of x.hex is not there, or is no number; see +vectors=FOLDER", entry + 1);
        for (entry = 0; entry < count; entry = entry + 1)
            if (y_vectors[entry][DWN_Y_BITS] !== 1'b0 || ^y_vectors[entry] === 1'bx)
                $fatal(1, "FAIL: line %0d of y.hex is not there, or is no number; see +vectors=FOLDER", entry + 1);
        loaded = 1;
    end

    task ended;
        begin
            if (faults != 0 || compared != count || compared == 0)
                $fatal(1, "FAIL: dwn: %0d faults, %0d of %0d results compared", faults, compared, count);
            $display("PASS: dwn: %0d results compared, none differs", compared);
            $finish;
        end
    endtask

    // After ten faults no more are shown.
    task fault;
        begin
            faults = faults + 1;
            if (faults == 10) ended;
        end
    endtask
