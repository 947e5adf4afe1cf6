"""What is kept between requests: the result cache and the latest result, with the means to reach them."""
