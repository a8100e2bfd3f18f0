# Makes input/bike_hires.csv: one invented year of hourly bike hires in an invented town.
# The same file every time. Run in this folder: Rscript make_data.R

set.seed(2024)
RNGkind(sample.kind = "Rejection")

hours <- seq(as.POSIXct("2024-01-01 00:00", tz = "UTC"), as.POSIXct("2024-12-31 23:00", tz = "UTC"), by = "hour")
n <- length(hours)
hour <- as.integer(format(hours, "%H"))
day <- as.integer(format(hours, "%j"))
weekday <- as.integer(format(hours, "%u"))
holidays <- as.Date(c("2024-01-01", "2024-03-29", "2024-04-01", "2024-05-01", "2024-05-20", "2024-12-25", "2024-12-26"))
working <- weekday <= 5 & !(as.Date(hours) %in% holidays)

# Weather: a yearly and a daily wave, fronts that last some days, showers that last some hours.
front <- as.numeric(stats::filter(rnorm(n, sd = 0.28), 0.988, method = "recursive"))
temperature <- 11 - 9.5 * cos(2 * pi * (day - 20) / 366) - 3.6 * cos(2 * pi * (hour - 3) / 24) + 1.6 * front
wind <- pmax(0, 12 + 4 * as.numeric(stats::filter(rnorm(n, sd = 0.3), 0.95, method = "recursive")) - 0.8 * front)
wetness <- as.numeric(stats::filter(rnorm(n), 0.9, method = "recursive")) / 2.3 - 0.25 * front
rain <- ifelse(wetness > 1.15, round(rgamma(n, shape = 1.1, rate = 0.8), 1), 0)
humidity <- pmin(100, pmax(25, 72 - 1.1 * (temperature - 11) + 9 * wetness + rnorm(n, sd = 4)))

# Hires: commuters have two peaks, days off one long hump; warmth helps until it is hot.
peak <- function(at, width) exp(-((hour - at) / width)^2 / 2)
commute <- 1.9 * peak(8, 1.1) + 2.3 * peak(17.3, 1.7) + 0.75 * peak(12.7, 2.2)
leisure <- 1.75 * peak(14.2, 3.6) + 0.25 * peak(23, 2)
level <- 3.0 + 0.95 * ifelse(working, commute, leisure) + 0.35 * peak(13, 5)
level <- level + 0.085 * (temperature - 11) - 0.0022 * (temperature - 11)^2
level <- level - 0.42 * (rain > 0) - 0.07 * pmin(rain, 6) - 0.014 * wind + 0.10 * day / 366
hires <- rnbinom(n, mu = exp(level) * 0.9, size = 18)

table <- data.frame(
  time = format(hours, "%Y-%m-%d %H:%M"),
  working_day = as.integer(working),
  temperature_c = sprintf("%.1f", temperature),
  wind_kmh = sprintf("%.1f", wind),
  humidity_pct = sprintf("%.0f", humidity),
  rain_mm = sprintf("%.1f", rain),
  hires = hires
)
write.csv(table, "input/bike_hires.csv", row.names = FALSE, quote = FALSE)
