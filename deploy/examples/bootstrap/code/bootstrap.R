# How sure is the slope? Waiting time after an eruption of Old Faithful, by the eruption's length.
#
# Usage   bootstrap.R [number of draws]
# Writes  /output/bootstrap.png, /output/slopes.csv
#
# Runs in parallel on the cores that this Run has (MC_CORES says how many). Base R only.

library(parallel)
set.seed(1)

wanted <- suppressWarnings(as.integer(c(commandArgs(trailingOnly = TRUE), "4000")[1]))
if (is.na(wanted) || wanted < 100) stop("Ask for at least 100 draws, for example: bootstrap.R 4000")
cores <- max(1L, as.integer(Sys.getenv("MC_CORES", "1")))
cat(sprintf("%s draws of %d eruptions on %d core%s\n", format(wanted, big.mark = ","), nrow(faithful), cores,
            if (cores == 1) "" else "s"))

# A seed for each draw, so that the result is the same on any number of cores.
seeds <- sample.int(.Machine$integer.max, wanted)
slope <- function(seed) {
  set.seed(seed)
  rows <- faithful[sample.int(nrow(faithful), replace = TRUE), ]
  coef(lm(waiting ~ eruptions, data = rows))[["eruptions"]]
}

parts <- 20
bounds <- round(seq(0, wanted, length.out = parts + 1))
slopes <- numeric(0)
for (part in seq_len(parts)) {
  these <- seeds[(bounds[part] + 1):bounds[part + 1]]
  slopes <- c(slopes, unlist(mclapply(these, slope, mc.cores = cores)))
  cat(sprintf("\r\u001b[34m%s\u001b[0m%s %3d %%   slope %.3f \u00b1 %.3f  ", strrep("\u2588", part),
              strrep("\u2591", parts - part), round(100 * part / parts), mean(slopes), sd(slopes)))
  flush(stdout())
}
range95 <- quantile(slopes, c(0.025, 0.975))
classic <- confint(lm(waiting ~ eruptions, data = faithful))["eruptions", ]
cat(sprintf("\n\n95 %% of the draws lie from \u001b[1m%.2f to %.2f\u001b[0m minutes of waiting for each minute of eruption.\n",
            range95[1], range95[2]))
cat(sprintf("The formula of the textbook says %.2f to %.2f.\n", classic[1], classic[2]))

png("/output/bootstrap.png", width = 1800, height = 1100, res = 200, type = "cairo", antialias = "subpixel")
par(mar = c(3.6, 1.2, 4.6, 1.2), family = "sans", fg = "#1f2933")
shape <- density(slopes, n = 1024)
inside <- shape$x >= range95[1] & shape$x <= range95[2]
plot(NULL, xlim = range(shape$x), ylim = c(0, max(shape$y) * 1.06), axes = FALSE, xlab = "", ylab = "", yaxs = "i")
polygon(c(shape$x[1], shape$x, tail(shape$x, 1)), c(0, shape$y, 0), col = "#dbe7f4", border = NA)
polygon(c(range95[1], shape$x[inside], range95[2]), c(0, shape$y[inside], 0), col = "#9cc0e3", border = NA)
lines(shape, col = "#2b6cb0", lwd = 2.4)
segments(mean(slopes), max(shape$y) * 0.22, mean(slopes), max(shape$y), col = "#1f2933", lwd = 1.2, lty = 3)
text(mean(range95), max(shape$y) * 0.16, "95 % of the draws", cex = 0.9, font = 2, col = "#1d4f86")
axis(1, tick = FALSE, line = -0.6, col.axis = "#6b7785", cex.axis = 0.85)
mtext("minutes of waiting for each minute of eruption", side = 1, line = 1.9, cex = 0.85, col = "#6b7785")
left <- par("usr")[1]
mtext("How sure is the slope?", side = 3, line = 2.5, at = left, adj = 0, font = 2, cex = 1.3)
mtext(sprintf("%s bootstrap draws of %d eruptions of Old Faithful", format(wanted, big.mark = ","), nrow(faithful)),
      side = 3, line = 1.1, at = left, adj = 0, cex = 0.9, col = "#6b7785")
invisible(dev.off())
write.csv(data.frame(draw = seq_along(slopes), slope = round(slopes, 5)), "/output/slopes.csv", row.names = FALSE)
cat("Wrote bootstrap.png and slopes.csv\n")
